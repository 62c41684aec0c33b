"""The command line as a person calls it: real processes, real exit codes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.processes import run_forked
from tosmooth.folder.results import StudyResults


def tosmooth(
    *arguments: object, cwd: Path | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return run_forked([*map(str, arguments)], {**os.environ, "COLUMNS": "120", "NO_COLOR": "1", **(env or {})}, cwd)


def test_help_names_the_commands_in_the_order_of_the_work():
    text = tosmooth("--help").stdout
    commands = [
        "recipes",
        "validate",
        "study",
        "search",
        "train-teacher",
        "distill",
        "evaluate",
        "export",
        "audit",
        "project",
    ]
    assert all(command in text for command in commands)
    assert "Example" in tosmooth("study", "--help").stdout


def test_recipes(tmp_path: Path):
    assert "fashion-mnist" in json.loads(tosmooth("recipes", "list", "--json").stdout)
    assert "temperatures" in tosmooth("recipes", "show", "fashion-mnist").stdout
    assert tosmooth("recipes", "copy", "fashion-mnist", "mine.yaml", cwd=tmp_path).returncode == 0
    again = tosmooth("recipes", "copy", "fashion-mnist", "mine.yaml", cwd=tmp_path)
    assert again.returncode == 2
    assert "exists" in again.stderr
    assert tosmooth("validate", "mine.yaml", cwd=tmp_path).returncode == 0


def test_validate_reports_every_mistake_and_exits_with_2():
    run = tosmooth("validate", "fashion-mnist", "student.epochs=0", "data.sorce=x", "teacher.label_smoothing=2")
    assert run.returncode == 2
    assert "3 mistakes" in run.stderr
    assert "did you mean 'source'" in run.stderr
    assert "Traceback" not in run.stderr


def test_validate_prints_what_would_run():
    found = json.loads(tosmooth("validate", "student.seeds=[0,1]", "--json").stdout)
    # 12 students of the grid, 7 at another learning rate (one without a teacher), 2 without a teacher
    assert (found["teachers"], found["students"], found["groups"]) == (4, 21, 2)


def test_wrong_call_exits_with_2():
    run = tosmooth("study", "--nonsense")
    assert run.returncode == 2
    assert "--nonsense" in run.stderr


@pytest.mark.parametrize("command", ["report", "project"])
def test_a_folder_that_is_no_study_is_refused(command, tmp_path: Path):
    run = tosmooth(command, tmp_path)
    assert run.returncode == 1
    assert "is not a study" in run.stderr
    assert "Traceback" not in run.stderr


def test_study_into_the_folder_of_another_study(tiny_study: StudyResults, tmp_path: Path):
    copy = tmp_path / "runs" / "tiny"
    shutil.copytree(tiny_study.path, copy)
    run = tosmooth("study", copy / "study.yaml", "student.epochs=9", "-o", tmp_path / "runs")
    assert run.returncode == 1
    assert "holds another study: it differs in student.epochs" in run.stderr


def test_a_finished_study_started_again_keeps_its_models_and_prints_the_summary(
    tiny_study: StudyResults, tmp_path: Path
):
    copy = tmp_path / "runs" / "tiny"
    shutil.copytree(tiny_study.path, copy)
    weights = {path: path.stat().st_mtime_ns for path in copy.rglob("model.safetensors")}
    run = tosmooth("study", copy / "study.yaml", "-o", tmp_path / "runs")
    assert run.returncode == 0, run.stderr
    assert "test top-1 over 2 seeds" in " ".join(run.stdout.split())
    assert "report.html" in run.stdout
    assert "get the student: tosmooth export" in run.stdout
    assert {path: path.stat().st_mtime_ns for path in copy.rglob("model.safetensors")} == weights


def test_evaluate_agrees_with_the_study(tiny_study: StudyResults):
    row = tiny_study.cells.iloc[0]
    weights = tiny_study.path / "students" / row.cell / "model.safetensors"
    run = tosmooth("evaluate", weights, tiny_study.path / "study.yaml", "--json")
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)[0]["top1"] == pytest.approx(row["test/top1"])


def test_evaluate_refuses_weights_of_another_model(tiny_study: StudyResults):
    weights = tiny_study.path / "teachers" / "a0-s0" / "model.safetensors"
    run = tosmooth("evaluate", weights, tiny_study.path / "study.yaml", "--role", "student")
    assert run.returncode == 1
    assert "model.safetensors" in run.stderr


def test_distil_one_student_from_a_given_teacher(tiny_study: StudyResults, tmp_path: Path):
    teacher = tiny_study.path / "teachers" / "a0.1-s0" / "model.safetensors"
    config = yaml.safe_load((tiny_study.path / "study.yaml").read_text(encoding="utf-8"))
    config["name"] = "one"
    # Of a configuration with several teachers and student models, the command takes one of each.
    config["teacher"] |= {"seeds": [0, 1], "given": {0.0: [str(teacher), str(teacher.with_name("last.safetensors"))]}}
    config["student"]["models"] = ["resnet14"]
    (tmp_path / "one.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    run = tosmooth(
        "distill",
        "one.yaml",
        "student.epochs=1",
        "--teacher",
        teacher,
        "--alpha",
        "0.1",
        "-T",
        "2",
        "--yes",  # the teacher is poor
        "--json",
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stderr
    (row,) = json.loads(run.stdout)["students"]
    assert 0 <= row["test/top1"] <= 100
    assert (tmp_path / row["weights"]).is_file()


def test_project_again_for_other_classes(tiny_study: StudyResults, tmp_path: Path):
    copy = tmp_path / "tiny"
    shutil.copytree(tiny_study.path, copy)
    run = tosmooth("project", copy, "--classes", "Shirt,Coat,Bag", "--plane", "templates")
    assert run.returncode == 0, run.stderr
    drawn = json.loads((copy / "analysis" / "projection.json").read_text(encoding="utf-8"))
    assert drawn["names"] == ["Shirt", "Coat", "Bag"]
    assert drawn["plane"] == "class templates"
    wrong = tosmooth("project", copy, "--classes", "Shirt,Coat,Bagg")
    assert wrong.returncode == 2
    assert "did you mean 'Bag'" in wrong.stderr


def test_the_plan_of_a_search_and_its_mistakes(tmp_path: Path):
    grid = "student.temperatures=[1,2,3,64]"
    found = json.loads(tosmooth("search", grid, "--dry-run", "--json", "--budget", "0.4", cwd=tmp_path).stdout)
    assert found["cost"] == {"student_epochs": 48, "full_grid_student_epochs": 128, "share": 0.375}
    assert [rung["candidates"] for rung in found["rungs"]] == [8, 2, 1]
    wrong = tosmooth("search", "data.validation=0", "--budget", "0", "--eta", "nan", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "3 mistakes" in wrong.stderr
    both = tosmooth("search", "student.epochs=3", "--replay", tmp_path)
    assert both.returncode == 2
    assert "--replay: goes with --budget, --eta and --json only" in both.stderr
    assert not list(tmp_path.iterdir())


def test_a_search_replayed_as_json(tiny_study: StudyResults):
    found = json.loads(tosmooth("search", "--replay", tiny_study.path, "--json").stdout)
    assert {"picked", "grid_winner", "hit", "regret", "bootstrap", "cost"} <= set(found)
    assert found["hit"] == (found["regret"] == 0)
