"""A third task that comes along: with a metric of its own, of which less is better, and a section of its own."""

from __future__ import annotations

import ast
import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from rich.console import Console

from tosmooth.config.schema import explained
from tosmooth.errors import ConfigError
from tosmooth.export.export import export_model
from tosmooth.folder.results import StudyResults
from tosmooth.recipes.reading import load_config
from tosmooth.search.run import run_search
from tosmooth.search.summary import print_search
from tosmooth.study.progress import StudyProgress
from tosmooth.study.run import run_study
from tosmooth.tasks.find import TASKS, find_task

HERE = Path(__file__).parent / "letters"
RAW: dict[str, Any] = {
    "name": "letters",
    "task": "letters",
    "data": {"source": "own_text", "limit_train": 600},
    "letters": {"context": 2},
    "teacher": {
        "model": "letters-24", "epochs": 3, "label_smoothing": [0, 0.1], "batch_size": 64,
        "optimizer": {"name": "adam", "learning_rate": 0.01},
    },
    "student": {
        "model": "letters-8", "epochs": 3, "temperatures": [1, 8], "seeds": [0, 1], "batch_size": 64,
        "optimizer": {"name": "adam", "learning_rate": 0.01},
    },
    "compute": {"device": "cpu", "threads": 1},
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def built_in() -> Iterator[None]:
    """The task by one line in the table of those that come along."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TASKS, "_built_in", {**TASKS._built_in, "letters": "tests.tasks.letters.task:Letters"})
        yield
        TASKS._known.pop("letters", None)


@pytest.fixture(scope="module")
def study(built_in: None, tmp_path_factory: pytest.TempPathFactory) -> StudyResults:
    root = tmp_path_factory.mktemp("letters")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["tosmooth", "study"])  # the report names the command: pytest's may name any test
        return run_study(load_config(RAW), root, StudyProgress(Console(quiet=True)))


def test_only_its_task_its_data_and_its_model_were_written():
    """What each file may use is what the package of its kind uses already: nothing else had to learn of it."""
    layers = {"task": "tasks", "data": "data", "models": "models"}
    files = [path for path in HERE.glob("*.py") if path.stem != "__init__"]
    assert {path.stem for path in files} == set(layers)
    root = Path(__import__("tosmooth").__file__).parent
    for path in files:
        own = {module.split(".")[1] for module in imported(path) if module.startswith("tosmooth.")}
        of_package = {
            module.split(".")[1]
            for file in (root / layers[path.stem]).rglob("*.py")
            for module in imported(file)
            if module.startswith("tosmooth.")
        }
        assert own <= of_package | {layers[path.stem]}, path
    mentions = [path for path in root.rglob("*") if path.suffix in {".py", ".j2"} and "perplexity" in shown_text(path)]
    assert mentions == []


def imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}


def shown_text(path: Path) -> str:
    """Without docstrings and comments, where it may serve as an example."""
    text = path.read_text(encoding="utf-8")
    return re.sub(r'""".*?"""|#.*', "", text, flags=re.DOTALL)


def test_less_is_better_from_the_kept_epoch_to_the_advice(study: StudyResults):
    cells, advice = study.cells, study.advice
    assert advice is not None
    for cell in cells.cell:
        folder = study.path / "students" / cell
        curve = [json.loads(line)["val/nll"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
        kept = json.loads((folder / "result.json").read_text())["selected_epoch"]
        assert curve[kept - 1] == min(curve)
    means = cells.groupby(["label_smoothing", "temperature"])["val/perplexity"].mean()
    chosen = advice["recommendation"]
    assert (chosen["label_smoothing"], chosen["temperature"]) == means.idxmin()
    assert chosen["mean"] == pytest.approx(means.min())
    assert all(row["difference"] >= 0 for row in advice["comparisons"])  # the best is ahead of all
    assert advice["metric"] == "val/perplexity"


def test_its_report_says_nothing_that_is_of_other_tasks(study: StudyResults):
    page = (study.path / "report.html").read_text(encoding="utf-8")
    # Without the configuration, which has the keys that all studies have.
    written = re.sub(r"<(script|style|pre)\b.*?</\1>", " ", page, flags=re.DOTALL)
    visible = html.unescape(re.sub(r"<[^>]+>", " ", written)).lower()
    visible += " ".join(re.findall(r'alt="([^"]*)"', page)).lower()
    assert "perplexity" in visible
    for word in ("accuracy", "top-1", "bleu", "chrf", "sentence", "translat", "image", "imagenet", "iwslt", "cub-200",
                 "beside the paper", "as published"):  # fmt: skip
        assert word not in visible, visible[max(0, visible.index(word) - 200) : visible.index(word) + 100]
    assert not list((study.path / "tables").glob("paper-*"))
    assert {path.stem for path in (study.path / "tables").glob("*.csv")} >= {"perplexity", "grid", "teachers"}
    assert "letters have no augmented views" in visible


def test_it_is_searched(tmp_path: Path):
    found = run_search(load_config(RAW), tmp_path, budget=0.7, eta=2, progress=StudyProgress(Console(quiet=True)))
    record = found.record
    last = record["rungs"][-1]["scores"]
    means = [row["mean"] for row in record["rungs"][0]["scores"]]
    assert record["metric"] == "val/nll"
    assert means == sorted(means)  # best first
    assert [row["kept"] for row in record["rungs"][0]["scores"]] == [True, True, False, False]
    assert {key: last[0][key] for key in ("label_smoothing", "temperature")} == {
        key: record["winner"][key] for key in ("label_smoothing", "temperature")
    }
    assert set(record["test"]) == {"test/perplexity", "by_cell"}
    console = Console(record=True, width=200, quiet=False, file=(tmp_path / "out.txt").open("w"))
    print_search(found, console, find_task("letters").metric, preview=False)
    text = console.export_text()
    assert "perplexity" in text
    assert "accuracy" not in text


def test_its_student_is_exported_as_a_state_dict(study: StudyResults, tmp_path: Path):
    export = export_model(study.path, None, ["state_dict", "safetensors"], tmp_path / "out")
    assert export.differences == {"state_dict": 0.0, "safetensors": 0.0}
    state = torch.load(tmp_path / "out" / "model.pth", weights_only=True)
    assert state["4.weight"].shape == (10, 8)
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "Perplexity" in card
    assert "accuracy" not in card.lower()
    with pytest.raises(ConfigError, match="onnx: a model of task: letters has no such form"):
        export_model(study.path, None, ["onnx"], tmp_path / "other")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("letters.contxt=2", "letters.contxt: unknown key; did you mean 'context'?"),
        ("letters.context=9", "letters.context: should be less than or equal to 8"),
        ("student.batch_size=4000", "letters.context: 2 letters of 4000 samples are too many at once"),
        ("data.source=cifar10", "data.source: 'cifar10' does not go with task: letters"),
        ("student.model=resnet8", "student.model.name: unknown model 'resnet8'; a width, such as letters-16"),
        ("student.objectives=sequence", "student.objectives: 'sequence' is of task: translation"),
        ("translation.beam=2", "translation: is of task: translation"),
    ],
)
def test_mistakes_of_its_section_are_told_like_others(override: str, expected: str):
    with pytest.raises(ConfigError) as caught:
        load_config(RAW, [override])
    (only,) = caught.value.mistakes
    assert only.startswith(expected)


def test_its_section_is_explained_like_others():
    text = explained(load_config(RAW))
    assert "letters:\n  # letters before the one that is asked for\n  context: 2\n" in text
    assert load_config(yaml.safe_load(text)) == load_config(RAW)  # comments aside, it is the configuration


def test_its_section_is_of_no_other_study(tiny_raw: dict[str, Any]):
    with pytest.raises(ConfigError, match="letters: is of task: letters"):
        load_config({**tiny_raw, "letters": {"context": 2}})
