"""A folder that an earlier version wrote still opens: it is read, reported on, exported from, and its grid grows."""

from __future__ import annotations

import html
import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from tosmooth.export.export import export_model
from tosmooth.folder.claim import change_to
from tosmooth.folder.growth import Change
from tosmooth.folder.paths import (
    ADVICE_FILE,
    CHANGES_FILE,
    LAST_WEIGHTS_FILE,
    RECORD_FILE,
    SEPARATION_FILE,
    TEACHER_VIEWS_FILE,
    WEIGHTS_FILE,
    StudyDirectory,
    former_advice_file,
)
from tosmooth.folder.results import load_study
from tosmooth.recipes.reading import load_config
from tosmooth.report.build import build_report
from tosmooth.report.caveats import caveats
from tosmooth.report.reading import StudyFiles, read_study
from tosmooth.study.progress import StudyProgress
from tosmooth.study.run import run_study
from tosmooth.study.single import evaluate_weights
from tosmooth.words.answer import headline
from tosmooth.words.conclusions import conclusions

OLD = Path(__file__).parent / "written_by_0_1_0" / "small"


@pytest.fixture
def old(tmp_path: Path) -> StudyDirectory:
    return StudyDirectory(shutil.copytree(OLD, tmp_path / "small"))


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_its_results_are_read():
    study = load_study(OLD)
    assert len(study.cells) == 16
    assert set(study.cells["status"]) == {"done"}
    assert study.cells[["val/top1", "test/top1", "diffusion/eta_s1"]].notna().all(axis=None)
    assert set(study.teachers["label_smoothing"]) == {0.0, 0.1}
    assert set(study.diffusion["cell"]) == set(study.cells["cell"])
    assert study.config["student"]["temperatures"] == [1.0, 8.0]
    for name, found in (("advice", study.advice), ("verdict", study.verdict)):
        assert found == json.loads((OLD / "analysis" / f"{name}.json").read_text(encoding="utf-8"))


def test_its_configuration_is_the_same_study_still():
    """With all that it holds of its day: sections of other tasks stand in it, at their defaults."""
    there = yaml.safe_load((OLD / "study.yaml").read_text(encoding="utf-8"))
    assert there["task"] == "image_classification"
    assert {"translation"} < there.keys()
    assert "text" in there["data"]
    assert "tokens" in there["analysis"]
    assert change_to(StudyDirectory(OLD), load_config(str(OLD / "study.yaml"))) == Change((), (), ())
    assert change_to(StudyDirectory(OLD), load_config(str(OLD.parent / "small.yaml"))) == Change((), (), ())


def test_a_report_is_built_from_it(old: StudyDirectory):
    page = html.unescape(build_report(old.path).read_text(encoding="utf-8"))
    files = read_study(old.path)
    # Every image could be read; there was one rate; all students had a teacher.
    unused = {"unreadable", "learning_rates", "controls"}
    empty = {name for name in StudyFiles.__dataclass_fields__ if len(_sized(getattr(files, name))) == 0}
    assert empty == unused
    # Its own words were for that version; the answer is made of its figures.
    assert files.answer is not None
    plain = re.sub("</?abbr[^>]*>", "", page)  # terms explain themselves
    assert " ".join(headline(files.answer, files.wording).split()) in " ".join(plain.split())
    assert "Smooth the teacher?" in page
    written = files.advice["effect"]["sentence"], files.advice["rule"]["sentence"]
    assert conclusions(files.advice, files.wording) == dict(zip(("effect", "rule"), written, strict=True))
    shown = " ".join(plain.replace("\u00a0", " ").split())
    for sentence in written:
        assert sentence in shown
    # What the report sees as well is not said twice.
    assert caveats(files)[:4] == files.advice["caveats"]
    assert not any("seeds" in text or "One teacher" in text for text in caveats(files)[4:])
    names = {path.stem for path in old.figures.iterdir()}
    assert {"accuracy", "diffusion", "projection", "reliability", "calibration-error", "classes"} <= names


def _sized(value: object) -> object:
    return value.parts if isinstance(value, Path) else value


def test_a_student_is_exported_from_it(old: StudyDirectory, tmp_path: Path):
    name = "hinton-a0.1-T1-resnet8-s0"
    exported = export_model(old.path, name, ("safetensors",), tmp_path / "export")
    config = load_config(str(exported.path / "study.yaml"))
    again = evaluate_weights(config, exported.path / "model.safetensors", "student", "validation")
    record = json.loads((old.student(name) / RECORD_FILE).read_text(encoding="utf-8"))
    assert again["nll"] == pytest.approx(record["val/nll"], rel=1e-3)  # measured on another machine


@pytest.mark.slow
def test_its_grid_grows_and_keeps_what_is_finished(old: StudyDirectory, silent: StudyProgress):
    finished = ("teachers/", "students/")
    before = {name: held for name, held in content(old.path).items() if name.startswith(finished)}
    # A teacher's answers at the new T are looked at.
    before = {name: held for name, held in before.items() if not name.endswith(f"/{TEACHER_VIEWS_FILE}")}
    students = {path.name for path in old.students.iterdir()}
    advice = (old.analysis / ADVICE_FILE).read_bytes()

    grown = run_study(load_config(str(old.config), ["student.temperatures=[1,2,8]"]), old.path.parent, silent)

    after = content(old.path)
    assert {name: after[name] for name in before} == before
    new = {name for name in after if name.startswith(finished)} - content(OLD).keys()
    assert {name.split("/")[1] for name in new if name.endswith(f"/{SEPARATION_FILE}")} >= students  # theirs as well
    new = {name for name in new if not name.endswith(f"/{SEPARATION_FILE}")}
    trained = {name.split("/")[1] for name in new if name.endswith(f"/{WEIGHTS_FILE}")}
    assert trained == {path.name for path in old.students.iterdir()} - students
    assert {name.split("/")[1] for name in new} == trained
    controls = {"cross_entropy-resnet8-s0", "cross_entropy-resnet8-s1"}  # which studies did not have then
    assert controls < trained
    assert len(trained) == 10
    assert all("-T2-" in name for name in trained - controls)
    assert all((old.student(name) / LAST_WEIGHTS_FILE).is_file() for name in trained)
    assert sorted(grown.cells["temperature"].unique()) == [1, 2, 8]
    assert set(grown.cells["status"]) == {"done"}
    was, now = (table.set_index("cell")["test/top1"] for table in (load_study(OLD).cells, grown.cells))
    assert now[was.index].tolist() == was.tolist()
    assert (old.analysis / former_advice_file(1)).read_bytes() == advice
    (change,) = json.loads((old.analysis / CHANGES_FILE).read_text(encoding="utf-8"))
    assert (change["added"], change["removed"], change["test_was_read"]) == (["T = 2"], [], True)
