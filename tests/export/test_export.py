"""The command and the function on a real study: which model it is, and a folder that is whole or not there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image

import tosmooth
from tests.export.folders import TEACHER, raw_study, write_untrained
from tosmooth import cli
from tosmooth.distill.call import Call
from tosmooth.distill.run import distill
from tosmooth.errors import ConfigError, StudyError
from tosmooth.export import export as exporting
from tosmooth.export.subject import choose
from tosmooth.folder.reading import read_table
from tosmooth.folder.writing import read_record, write_csv, write_record
from tosmooth.models.build import build_image_model
from tosmooth.recipes.reading import load_config
from tosmooth.report.reading import read_study
from tosmooth.study.single import evaluate_weights


@pytest.fixture(scope="module")
def exported(tiny_study, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "model"
    tosmooth.export_model(tiny_study.path, output=folder)
    return folder


def command(*arguments: object, monkeypatch) -> int:
    monkeypatch.setattr(sys, "argv", ["tosmooth", *map(str, arguments)])
    return cli._run(cli.app)


def test_by_default_it_is_the_best_seed_of_the_recommended_setting_by_validation(tiny_study, exported):
    chosen = tiny_study.advice["recommendation"]
    cells = tiny_study.cells
    for key in ("objective", "label_smoothing", "temperature", "student"):
        cells = cells[cells[key] == chosen[key]]
    best = cells.loc[cells["val/top1"].idxmax(), "cell"]
    manifest = json.loads((exported / "export.json").read_text(encoding="utf-8"))
    assert manifest["model"] == best
    assert read_study(tiny_study.path).kept_student["cell"] == best  # whose size and confusions the report shows
    assert manifest["made_by"] == "tosmooth export"
    assert "best of 2 seeds by validation" in manifest["chosen"]


def make_it_best(study, student, column):
    """As if it had been measured so: its record and the table of all say the same."""
    folder, results = study / "students" / student, study / "results.csv"
    write_record(folder, read_record(folder) | {column: 100.0})
    table = read_table(results)
    table.loc[table["cell"] == student, column] = 100.0
    write_csv(results, table)


def test_test_figures_have_no_say(tiny_study, tmp_path):
    """The other seed is made the best on test, and then the best on validation."""
    study = tmp_path / "tiny"
    shutil.copytree(tiny_study.path, study)
    first = choose(study, None).owner
    other = first.name.replace("-s0", "-s1") if first.name.endswith("-s0") else first.name.replace("-s1", "-s0")
    make_it_best(study, other, "test/top1")
    assert choose(study, "student").owner.name == first.name
    make_it_best(study, other, "val/top1")
    assert choose(study, "student").owner.name == other


def test_teachers_by_role_and_by_name(tiny_study):
    alpha = tiny_study.advice["recommendation"]["label_smoothing"]
    assert choose(tiny_study.path, "teacher").owner.name == f"a{alpha:g}-s0"
    assert choose(tiny_study.path, "a0.1-s0").owner.name == "a0.1-s0"
    name = "hinton-a0.1-T8-resnet8-s1"
    found = choose(tiny_study.path, name)
    assert (found.owner.name, found.chosen) == (name, "It was asked for by its name.")


def test_a_misspelt_name_is_met_with_the_nearest(tiny_study):
    with pytest.raises(ConfigError, match=r"unknown model 'hinton-a0\.1-T8-resnet8-s2'; did you mean 'hinton-a0\.1-T8"):
        choose(tiny_study.path, "hinton-a0.1-T8-resnet8-s2")


def test_folders_without_a_study_or_without_advice(tmp_path):
    with pytest.raises(StudyError, match=r"is not a study: it has no study\.yaml"):
        choose(tmp_path, None)
    study = write_untrained(tmp_path, raw_study({"name": "resnet8", "width": 0.25}))
    assert choose(study, "teacher").chosen == "It is the only teacher of the study."
    with pytest.raises(StudyError, match="recommends nothing yet and has 0 finished students"):
        choose(study, None)
    with pytest.raises(StudyError, match="was not trained to its end"):
        choose(study, "hinton-a0.1-T1-resnet8-s0")
    (study / "teachers" / TEACHER / "result.json").unlink()
    with pytest.raises(StudyError, match=f"{TEACHER} was not trained to its end"):
        choose(study, TEACHER)


def test_other_data_than_the_studys_are_refused(tiny_study, tmp_path):
    study = tmp_path / "tiny"
    shutil.copytree(tiny_study.path, study)
    (study / "state").mkdir(exist_ok=True)
    (study / "state" / "data.json").write_text('{"fingerprint": "another"}', encoding="utf-8")
    with pytest.raises(StudyError, match="the data are not those"):
        tosmooth.export_model(study, output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_lies_beside_the_weights(exported, tiny_study):
    names = json.loads((exported / "labels.json").read_text(encoding="utf-8"))
    assert (names["0"], names["9"], len(names)) == ("T-shirt/top", "Ankle boot", 10)
    found = json.loads((exported / "preprocessing.json").read_text(encoding="utf-8"))
    assert found["input"]["channels"] == found["preparation"]["channels"] == 1
    assert (found["input"]["height"], found["preparation"]["size"]) == (28, None)
    assert found["input"]["center_crop"] is found["input"]["resize_shorter_side"] is None
    assert found["preparation"]["mean"] == found["preparation"]["std"] == [0.5]
    manifest = json.loads((exported / "export.json").read_text(encoding="utf-8"))
    written = {path.relative_to(exported).as_posix() for path in exported.rglob("*")} - {"export.json"}
    assert set(manifest["files"]) == written


def test_the_configuration_beside_the_weights_measures_them_again(exported, tiny_study):
    name = json.loads((exported / "export.json").read_text(encoding="utf-8"))["model"]
    config = load_config(str(exported / "study.yaml"))
    found = evaluate_weights(config, exported / "model.safetensors", "student", "validation")
    row = tiny_study.cells.set_index("cell").loc[name]
    assert found["top1"] == pytest.approx(row["val/top1"], abs=1e-3)


def test_no_path_of_this_machine_goes_along(tmp_path):
    """Images in folders: the configuration beside the weights asks for `data.path`, and then measures them."""
    for split in ("train", "val"):
        for name, grey in (("cat", 40), ("dog", 200)):
            folder = tmp_path / "images" / split / name
            folder.mkdir(parents=True)
            for i in range(6):
                Image.new("RGB", (20, 20), (grey + i, 100, grey)).save(folder / f"{i}.png")
    raw = raw_study({"name": "resnet8", "width": 0.25})
    raw["data"] = {"source": "folder", "path": str(tmp_path / "images"), "validation": 0.0}
    found = tosmooth.export_model(write_untrained(tmp_path, raw), TEACHER, output=tmp_path / "out")
    for path in found.path.rglob("*"):
        assert str(tmp_path).encode() not in path.read_bytes(), path
    assert "study.yaml data.path=FOLDER --split" in (found.path / "README.md").read_text(encoding="utf-8")
    with pytest.raises(ConfigError, match=r"data\.path: the source 'folder' needs"):
        load_config(str(found.path / "study.yaml"))
    config = load_config(str(found.path / "study.yaml"), [f"data.path={tmp_path / 'images'}"])
    measured = evaluate_weights(config, found.path / "model.safetensors", "teacher", "test")
    assert measured["top1"] in {0.0, 50.0, 100.0}


def test_a_given_teacher_and_the_only_student_of_a_distillation(tmp_path, tiny_raw, tiny_study, silent):
    tiny_raw["student"] |= {"epochs": 1, "controls": ["cross_entropy"]}
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(yaml.safe_dump(tiny_raw), encoding="utf-8")
    teacher = tiny_study.path / "teachers" / "a0.1-s0" / "model.safetensors"
    call = Call(str(teacher), source=str(recipe), temperatures=(2.0,), seed=5, name="tiny", yes=True)
    done = distill(call, tmp_path, silent)
    (row,), (control,) = done["students"], done["controls"]
    found = tosmooth.export_model(tmp_path / "tiny", output=tmp_path / "out")
    assert (found.model, found.chosen) == (row["student"], "It is the only student of the study.")
    card = (found.path / "README.md").read_text(encoding="utf-8")
    assert f"| Top-1, % | {row['val/top1']:.1f} | {row['test/top1']:.1f} |" in card
    assert "| Teacher | resnet8 (a0.1-s0, taken as given) |" in card
    without = f"top-1 {control['val/top1']:.1f} % on validation and {control['test/top1']:.1f} % on test"
    assert f"The same model trained without a teacher: {without}." in card
    assert str(tiny_study.path) not in (found.path / "study.yaml").read_text(encoding="utf-8")
    found = tosmooth.export_model(tmp_path / "tiny", "a0.1-s0", output=tmp_path / "teacher")
    record = json.loads((tmp_path / "tiny" / "teachers" / "a0.1-s0" / "result.json").read_text(encoding="utf-8"))
    assert record["status"] == "given"
    card = (found.path / "README.md").read_text(encoding="utf-8")
    assert "A teacher, resnet8, taken as given, seed 0." in card
    assert f"| Top-1, % | {record['val/top1']:.1f} |" in card
    assert "| Epochs |" not in card  # nobody here knows how long it was trained
    assert str(tiny_study.path) not in (found.path / "study.yaml").read_text(encoding="utf-8")


def test_a_folder_of_others_is_refused_and_an_earlier_export_replaced(tiny_study, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "thesis.tex").write_text("mine", encoding="utf-8")
    with pytest.raises(StudyError, match="holds files that no export has written"):
        tosmooth.export_model(tiny_study.path, output=folder)
    (folder / "export.json").write_text('{"files": {}}', encoding="utf-8")
    with pytest.raises(StudyError, match="holds files that no export has written"):
        tosmooth.export_model(tiny_study.path, output=folder, force=True)
    shutil.rmtree(folder)
    folder.mkdir()
    first = tosmooth.export_model(tiny_study.path, output=folder)
    second = tosmooth.export_model(tiny_study.path, "teacher", ["state_dict"], output=folder)
    assert first.model != second.model
    assert "model.pth" in second.files
    assert not (folder / "model.safetensors").exists()
    (folder / "README.md").write_text("with the licence filled in", encoding="utf-8")
    with pytest.raises(StudyError, match=r"README\.md was changed since the export and would be lost"):
        tosmooth.export_model(tiny_study.path, output=folder)
    (folder / "README.md").unlink()
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("", encoding="utf-8")
    with pytest.raises(StudyError, match=r"config was put there since and would be lost"):
        tosmooth.export_model(tiny_study.path, output=folder)
    tosmooth.export_model(tiny_study.path, output=folder, force=True)
    assert not (folder / ".git").exists()
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StudyError, match="is a file"):
        tosmooth.export_model(tiny_study.path, output=tmp_path / "file")


def test_a_failure_leaves_the_earlier_export_as_it_was(exported, tiny_study, tmp_path, monkeypatch):
    folder = tmp_path / "out"
    shutil.copytree(exported, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(*_: object, **__: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exporting, "model_card", full)
    with pytest.raises(StudyError, match="No space left on device"):
        tosmooth.export_model(tiny_study.path, "teacher", output=folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_leftovers_of_a_killed_export_are_cleared_and_an_old_one_comes_back(exported, tiny_study, tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    shutil.copytree(exported, tmp_path / f".out.{dead.pid}.old.tmp")  # killed between two renames
    (tmp_path / f".out.{dead.pid}.tmp").mkdir()
    (tmp_path / f".out.{os.getppid()}.tmp").mkdir()  # of a living process
    tosmooth.export_model(tiny_study.path, "teacher", output=tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == [f".out.{os.getppid()}.tmp", "out"]


def test_the_command(tiny_study, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "out"
    arguments = ("export", tiny_study.path, "a0.1-s0", "--format", "safetensors, state-dict", "-o", folder)
    assert command(*arguments, "--json", monkeypatch=monkeypatch) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["model"] == "a0.1-s0"
    assert found["largest_difference"] == {"safetensors": 0.0, "state_dict": 0.0}
    assert {"README.md", "model.pth"} <= set(found["files"])
    assert command(*arguments, monkeypatch=monkeypatch) == 0
    assert "a0.1-s0" in capsys.readouterr().out
    assert command("export", tiny_study.path, "a0.2-s0", "-o", folder, monkeypatch=monkeypatch) == 2
    assert "did you mean 'a0.1-s0'" in " ".join(capsys.readouterr().err.split())
    assert command("export", tmp_path, "-o", folder, monkeypatch=monkeypatch) == 1


def test_weights_open_where_the_readme_says(exported, tiny_study):
    subject = choose(tiny_study.path, None).load()
    model = build_image_model(
        "resnet8", 10, channels=1, width=0.5, kwargs={"stem_stride": 2}, checkpoint=exported / "model.safetensors"
    )
    with torch.no_grad():
        assert torch.equal(model.eval()(subject.images), subject.classifier(subject.images))
