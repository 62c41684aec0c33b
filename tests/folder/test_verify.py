"""`tosmooth verify`: every file has a line, what is wrong is said with the way out, and the way out works."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import tosmooth
from tests.faults.studies import assert_same, content
from tests.folder.page import matching
from tests.folder.test_old_folders import OLD
from tosmooth.errors import StudyError, TosmoothError
from tosmooth.export.subject import choose
from tosmooth.folder.paths import CENTROIDS_FILE, JUDGED_FILE, RECORD_FILE, WEIGHTS_FILE, StudyDirectory
from tosmooth.folder.results import StudyResults
from tosmooth.folder.sums import file_sum
from tosmooth.folder.verify import Checked, verify
from tosmooth.folder.writing import write_json
from tosmooth.recipes.reading import load_config
from tosmooth.report.reading import read_study
from tosmooth.study.progress import StudyProgress
from tosmooth.study.run import run_study
from tosmooth.study.single import evaluate_weights, project_study

STUDENT, TEACHER = "students/hinton-a0-T1-resnet8-s0", "teachers/a0.1-s0"


@pytest.fixture
def study(tiny_study: StudyResults, tmp_path: Path) -> StudyDirectory:
    return StudyDirectory(Path(shutil.copytree(tiny_study.path, tmp_path / "tiny")))


def flip_a_bit(path: Path) -> None:
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)


def wrong(path: Path) -> dict[str, Checked]:
    return {file.file: file for file in verify(path) if not file.holds}


def test_every_file_of_a_study_is_looked_at_and_has_the_sum_that_the_docs_say(tiny_study: StudyResults):
    found = {file.file: file.state for file in verify(tiny_study.path)}
    there = {path.relative_to(tiny_study.path).as_posix() for path in tiny_study.path.rglob("*") if path.is_file()}
    assert found.keys() == there
    for file, state in found.items():
        (row,) = matching(file)
        assert state == ("not recorded" if row.sum == "–" else "ok"), file


def test_of_a_study_of_an_earlier_version_nothing_is_recorded_and_nothing_wrong():
    assert {file.state for file in verify(OLD)} == {"not recorded"}


def test_damage_of_each_home_of_a_sum_is_found(study: StudyDirectory):
    files = [
        "study.yaml", "results.csv", "report.html", "analysis/advice.json", "analysis/diffusion.csv", "tables/grid.csv",
        f"{STUDENT}/{WEIGHTS_FILE}", f"{STUDENT}/metrics.jsonl", f"{TEACHER}/views.json", f"{STUDENT}/separation.json",
    ]  # fmt: skip
    for file in files:
        flip_a_bit(study.path / file)
    (study.path / "teachers.csv").unlink()
    found = wrong(study.path)
    assert set(found) == {*files, "teachers.csv"}
    assert all(file.why and file.remedy for file in found.values())
    assert found["teachers.csv"].state == "missing"
    assert found[f"{STUDENT}/{WEIGHTS_FILE}"].remedy == (
        f"delete {study.path / STUDENT}, and the next run of the study makes it again"
    )


def test_what_may_go_is_removed_and_what_its_owner_adds_or_fills_in_is_no_damage(study: StudyDirectory):
    export = study.path / "export"
    export.mkdir()
    (export / "README.md").write_text("license: unknown", encoding="utf-8")
    (export / "model.safetensors").write_bytes(b"weights")
    sums = {name: file_sum(export / name) for name in ("README.md", "model.safetensors")}
    (export / "export.json").write_text(json.dumps({"files": sums}), encoding="utf-8")
    (export / "README.md").write_text("license: mit", encoding="utf-8")
    (study.path / "notes.json").write_text("{,}", encoding="utf-8")
    (study.path / "until-sure.json").write_text("{,}", encoding="utf-8")  # the study's own
    (study.path / STUDENT / "metrics.jsonl").unlink()
    assert set(wrong(study.path)) == {"until-sure.json"}
    states = {file.file: file.state for file in verify(study.path)}
    assert states[f"{STUDENT}/metrics.jsonl"] == "removed"
    assert states["export/README.md"] == states["notes.json"] == "not recorded"
    assert states["export/model.safetensors"] == "ok"


def test_tables_must_say_what_the_records_say(study: StudyDirectory):
    """Also where nobody has a sum, as of earlier versions."""
    for file in study.path.rglob("sums.json"):
        file.unlink()
    text = study.results.read_text(encoding="utf-8")
    name, figure = read_study(study.path).cells[["cell", "test/nll"]].iloc[0]
    study.results.write_text(text.replace(repr(float(figure)), repr(float(figure) + 0.001)), encoding="utf-8")
    says = rf"says test/nll = {figure + 0.001} of {name}, but its record says {figure}"
    with pytest.raises(StudyError, match=rf"results\.csv {says}; start the study again"):
        read_study(study.path)
    found = wrong(study.path)
    assert found.keys() == {"results.csv"}
    assert found["results.csv"].why == says.replace("\\", "")
    study.results.write_text(text, encoding="utf-8")
    shutil.rmtree(study.path / STUDENT)
    read_study(study.path)  # tables alone may be sent
    assert wrong(study.path).keys() == {f"{STUDENT}/{RECORD_FILE}"}


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes, no links")
def test_what_is_no_file_is_not_opened(study: StudyDirectory):
    os.mkfifo(study.path / "pipe")
    (study.path / "nowhere").symlink_to(study.path / "gone")
    assert set(wrong(study.path)) == {"pipe", "nowhere"}


def test_the_command_says_a_line_per_file_and_ends_with_1_where_something_is_wrong(study: StudyDirectory):
    run = tosmooth("verify", study.path)
    assert run.returncode == 0, run.stderr
    assert f"  ok  {STUDENT}/{WEIGHTS_FILE}" in run.stdout
    assert "not recorded  state/lock" in run.stdout
    flip_a_bit(study.path / STUDENT / WEIGHTS_FILE)
    run = tosmooth("verify", study.path, "--quiet")
    assert run.returncode == 1
    assert f"damaged  {STUDENT}/{WEIGHTS_FILE}" in run.stdout
    assert f"delete {study.path / STUDENT}, and the next run" in run.stdout
    assert "views.json" not in run.stdout
    run = tosmooth("verify", study.path, "--json")
    assert run.returncode == 1
    found = json.loads(run.stdout)
    assert found["holds"] is False
    assert [file["file"] for file in found["files"] if file["state"] == "damaged"] == [f"{STUDENT}/{WEIGHTS_FILE}"]
    run = tosmooth("verify", study.path.parent)
    assert run.returncode == 1
    assert "is not a study" in run.stderr


@pytest.mark.usefixtures("unreported")
def test_a_grid_does_not_grow_from_a_teacher_that_was_changed(
    study: StudyDirectory, tiny_raw: dict[str, Any], silent: StudyProgress
):
    flip_a_bit(study.path / TEACHER / WEIGHTS_FILE)
    students = {path.name for path in study.students.iterdir()}
    with pytest.raises(StudyError, match=rf"{WEIGHTS_FILE} is damaged: .*; delete .*{TEACHER}, and the next run"):
        run_study(load_config(tiny_raw, ["student.temperatures=[1,2,8]"]), study.path.parent, silent)
    assert {path.name for path in study.students.iterdir()} == students


@pytest.mark.parametrize(
    ("file", "remedy"),
    [
        (CENTROIDS_FILE, f"delete .*{STUDENT}, and the next run"),
        (RECORD_FILE, f"delete .*{STUDENT}, and the next run"),
        (JUDGED_FILE, "delete it, and what compares"),
    ],
)
@pytest.mark.usefixtures("unreported")
def test_a_study_does_not_go_on_from_measurements_that_were_changed(
    study: StudyDirectory, tiny_raw: dict[str, Any], silent: StudyProgress, file: str, remedy: str
):
    flip_a_bit(study.path / STUDENT / file)
    with pytest.raises(StudyError, match=rf"{file} is damaged.*; {remedy}"):
        run_study(load_config(tiny_raw), study.path.parent, silent)


def test_who_takes_weights_out_of_a_study_is_told(study: StudyDirectory, tiny_raw: dict[str, Any]):
    weights = study.path / STUDENT / WEIGHTS_FILE
    flip_a_bit(weights)
    calls = {
        "export": lambda: choose(study.path, weights.parent.name).load(),
        "evaluate": lambda: evaluate_weights(load_config(tiny_raw), weights, "student", "validation"),
        "project": lambda: project_study(study.path, "0,1,2", "algorithm1"),
    }
    for name, call in calls.items():
        with pytest.raises(TosmoothError, match="its content is not what was written") as caught:
            call()
        assert str(weights) in str(caught.value), name


@pytest.mark.usefixtures("unreported")
def test_after_its_folder_is_deleted_one_student_alone_is_trained_again_to_the_same_bits(
    study: StudyDirectory, tiny_study: StudyResults, tiny_raw: dict[str, Any], silent: StudyProgress
):
    before = {path: path.stat().st_mtime_ns for path in study.path.rglob(WEIGHTS_FILE)}
    flip_a_bit(study.path / STUDENT / WEIGHTS_FILE)
    shutil.rmtree(study.path / STUDENT)
    run_study(load_config(tiny_raw), study.path.parent, silent)
    again = {path.parent.name for path, then in before.items() if path.stat().st_mtime_ns != then}
    assert again == {Path(STUDENT).name}
    assert wrong(study.path) == {}
    assert_same(content(tiny_study.path), content(study.path))


def test_a_strangers_study_names_no_file_outside_of_it(study: StudyDirectory):
    holder = study.path / "sums.json"
    write_json(holder, {"files": {"../../secret.txt": "0", str(study.path.parent / "secret.txt"): "0", "a.csv": 7}})
    assert set(wrong(study.path)) == {"a.csv"}
