"""`tosmooth distill RECIPE`: the recipe says teacher and T; the rest is as with models of one's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from rich.console import Console
from safetensors.torch import load_file

from tests.distill.conftest import SMALL, STUDENT, TEACHER
from tests.test_cli import tosmooth
from tosmooth.distill.call import Call
from tosmooth.distill.run import distill
from tosmooth.distill.summary import print_distilled
from tosmooth.errors import ConfigError
from tosmooth.folder.results import StudyResults
from tosmooth.folder.writing import load_json
from tosmooth.recipes.reading import load_config
from tosmooth.study.bench import load_data
from tosmooth.study.progress import StudyProgress
from tosmooth.study.run import run_study
from tosmooth.tasks.find import find_task


@pytest.fixture
def recipe(tiny_raw: dict[str, Any], tmp_path: Path) -> Path:
    """A recipe of one's own: two teachers and four students, of which `distill` takes one each."""
    tiny_raw["student"]["epochs"] = 1
    path = tmp_path / "one.yaml"
    path.write_text(yaml.safe_dump(tiny_raw), encoding="utf-8")
    return path


def teacher_of(study: StudyResults) -> Path:
    return study.path / "teachers" / "a0.1-s0" / "model.safetensors"


def test_the_student_is_exported_in_the_formats_asked_for(recipe: Path, tiny_study: StudyResults, tmp_path: Path):
    run = tosmooth(
        "distill", "one.yaml", "--teacher", teacher_of(tiny_study), "-T", "2", "--format", "safetensors,state_dict",
        "--yes", "--json", cwd=tmp_path,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    result = json.loads(run.stdout)
    (student,) = result["students"]
    study, export = tmp_path / result["study"], tmp_path / result["export"]["folder"]
    assert load_json(study / "distill.json", dict, "") == result
    assert {"model.safetensors", "model.pth", "README.md", "labels.json", "preprocessing.json"} <= {
        path.name for path in export.iterdir()
    }
    config = load_config(str(study / "study.yaml"))
    data, task = load_data(config), find_task(config.task)

    def logits_of(state: dict[str, torch.Tensor]) -> torch.Tensor:
        model = task.new_model(config, data, config.student.model, 1).eval()
        model.backbone.load_state_dict(state)
        with torch.no_grad():
            return model(torch.stack([data.test[index] for index in range(20)]))

    own = logits_of(load_file(tmp_path / student["weights"]))
    assert own.std() > 0
    for state in (load_file(export / "model.safetensors"), torch.load(export / "model.pth", weights_only=True)):
        assert torch.equal(logits_of(state), own)


def test_both_forms_end_alike(recipe: Path, images: Path, teachers, tiny_study: StudyResults, tmp_path: Path, silent):
    """The same keys, and what the record of a student has besides."""
    (alpha, weights), *_ = teachers.items()
    alike = [*SMALL, "student.hard_weight=0"]  # with hard labels, the record does not have how far a student has come
    own = distill(
        Call(str(weights), STUDENT, None, alike, str(images), teacher_model=TEACHER, alphas=(alpha,)), tmp_path, silent
    )
    of_recipe = distill(
        Call(str(teacher_of(tiny_study)), source=str(recipe), temperatures=(1.0, 8.0), seed=3, yes=True),
        tmp_path,
        silent,
    )
    assert own.keys() == of_recipe.keys()
    for kind in ("teachers", "students"):
        # An only student was read on test; of several the one that is kept.
        read = [next(row for row in found[kind] if "test/top1" in row) for found in (own, of_recipe)]
        assert read[0].keys() == read[1].keys()
    (teacher,) = of_recipe["teachers"]
    assert (teacher["verdict"], teacher["temperatures"], teacher["origin"]) == ("smoothed", [1.0, 8.0], "given")
    assert teacher["audit"].keys() == own["teachers"][0]["audit"].keys()
    study = Path(of_recipe["study"])
    assert study.name == "tiny-distill-a0.1-T1-8-s3"
    assert (study / "teachers" / teacher["name"] / "audit.html").is_file()
    assert any("meets T = 8" in text for text in of_recipe["warnings"])
    best = max(of_recipe["students"], key=lambda row: (row["val/top1"], -row["temperature"]))
    assert of_recipe["chosen"] == best["name"]
    assert of_recipe["how"].startswith("the best of 2 students by validation")
    assert {"student", "status", "selection", "selected_epoch", "train/loss", "val/top1", "weights"} <= best.keys()
    for result in (own, of_recipe):
        with Console(width=120, record=True, file=(tmp_path / "shown").open("w", encoding="utf-8")) as console:
            print_distilled(result, console)
        said = console.export_text()
        for text in (f"Kept: {result['chosen']}", "student to use: ", "audit: ", "everything: ", "for the whole evid"):
            assert text in said


def test_the_same_folder_goes_on_as_a_study(recipe: Path, tmp_path: Path, silent: StudyProgress):
    result = distill(Call(source=str(recipe), overrides=["teacher.epochs=1"]), tmp_path, silent)
    (student,) = result["students"]
    assert (result["teachers"][0]["origin"], student["temperature"]) == ("trained", 1.0)
    study = Path(result["study"])
    weights = [path for path in study.rglob("model.safetensors") if path.parent.name != "export"]
    before = {path: path.stat().st_mtime_ns for path in weights}
    grown = run_study(load_config(str(study / "study.yaml"), ["student.temperatures=[1,8]"]), tmp_path, silent)
    assert {path: path.stat().st_mtime_ns for path in weights} == before
    assert list(grown.cells.temperature) == [1, 8]
    again = distill(Call(source=str(recipe), overrides=["teacher.epochs=1"]), tmp_path, silent)
    assert again["students"] == result["students"]


def test_mistakes_of_options_recipe_and_formats_at_once(tmp_path: Path):
    call = Call(
        "none.pt", source="fashion-mnist", overrides=["student.epoch=3"], alphas=(0.0, 0.1), formats=["huggingface"],
        mistakes=("--seed: -1",),
    )  # fmt: skip
    with pytest.raises(ConfigError) as error:
        distill(call, tmp_path)
    assert len(error.value.mistakes) == 5
    for text in ("--seed", "none.pt is no file", "a recipe's own teacher has one", "student.epoch:", "'resnet8'"):
        assert text in str(error.value)
    with pytest.raises(ConfigError, match="onnx: a model of task: translation has no such form"):
        distill(Call(source="translation-en-de", formats=["onnx"]), tmp_path)
    assert not list(tmp_path.iterdir())
