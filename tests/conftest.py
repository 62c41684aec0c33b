from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tosmooth.folder.results import StudyResults
from tosmooth.recipes.reading import load_config
from tosmooth.study.progress import StudyProgress
from tosmooth.study.run import run_study

TINY: dict[str, Any] = {
    "name": "tiny",
    "description": "the whole pipeline on a few real images",
    "data": {"source": "fashion_mnist_sample", "limit_train": 700, "limit_test": 300, "validation": 0.2},
    "teacher": {
        "model": {"name": "resnet8", "kwargs": {"stem_stride": 2}},
        "label_smoothing": [0.0, 0.1],
        "epochs": 2,
        "batch_size": 64,
    },
    "student": {
        "model": {"name": "resnet8", "width": 0.5, "kwargs": {"stem_stride": 2}},
        "temperatures": [1, 8],
        "seeds": [0, 1],
        "epochs": 2,
        "batch_size": 64,
    },
    "compute": {"device": "cpu"},
}


# Handed out first, so that no process works alone on a long file at the end.
LONG = (
    "docs/test_notebook", "faults/test_kill", "study/test_teacher_answers", "faults/test_processes", "tests/test_cli",
    "study/test_translation_study", "study/test_run", "folder/test_growth", "recipes/test_recipes",
    "study/test_estimate", "cli/test_modes", "test_extending", "search/test_run", "faults/", "distill/",
    "trackers/", "export/",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: next((i for i, name in enumerate(LONG) if name in item.nodeid), len(LONG)))


@pytest.fixture
def tiny_raw() -> dict[str, Any]:
    """A raw configuration of a study that runs in seconds; tests may change it."""
    import copy

    return copy.deepcopy(TINY)


@pytest.fixture
def silent() -> StudyProgress:
    return StudyProgress(Console(quiet=True))


@pytest.fixture(scope="session")
def tiny_study(tmp_path_factory: pytest.TempPathFactory) -> StudyResults:
    """A real study, run once for all tests that read one. Do not write into it."""
    root: Path = tmp_path_factory.mktemp("runs")
    return run_study(load_config(TINY), root, StudyProgress(Console(quiet=True)))
