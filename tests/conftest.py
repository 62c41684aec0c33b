from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.shared import Shared
from tosmooth.folder.results import StudyResults, load_study
from tosmooth.recipes.reading import load_config
from tosmooth.study.progress import StudyProgress
from tosmooth.study.run import run_study

TINY: dict[str, Any] = {
    "name": "tiny",
    "description": "the whole pipeline on a few real images",
    "data": {"source": "fashion_mnist_sample", "limit_train": 400, "limit_test": 300, "validation": 0.2},
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
        "controls": [],
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


MEMORY = Path("/dev/shm")
ROOM = 6 * 2**30  # bytes; what the tests write at most, and as much again


def pytest_configure(config: pytest.Config) -> None:
    """Put temporary folders into memory where there is room: every file of a study waits until the disk has it."""
    if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: next((i for i, name in enumerate(LONG) if name in item.nodeid), len(LONG)))


@pytest.fixture(scope="session", autouse=True)
def untimed() -> Iterator[None]:
    """How long an image takes is looked at for a moment only: it was a tenth of all tests' time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tosmooth.study.answering_time.SECONDS", 0.005)
        yield


@pytest.fixture
def tiny_raw() -> dict[str, Any]:
    """A raw configuration of a study that runs in seconds; tests may change it."""
    return copy.deepcopy(TINY)


@pytest.fixture
def silent() -> StudyProgress:
    return StudyProgress(Console(quiet=True))


@pytest.fixture
def unreported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Studies of this test end before their page, which is a third of a tiny one's time."""
    monkeypatch.setattr("tosmooth.study.run.build_report", lambda folder, note: folder / "report.html")


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """Folders that are made once a run, whichever process of the tests needs them first, and that nobody changes."""
    base = tmp_path_factory.getbasetemp()
    root = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folders = Shared(root / "shared")
    yield folders
    folders.assert_unchanged()


@pytest.fixture(scope="session")
def tiny_study(shared: Shared) -> StudyResults:
    """A real study, run once for all tests that read one. Do not write into it."""

    def run(root: Path) -> None:
        run_study(load_config(TINY), root, StudyProgress(Console(quiet=True)))

    return load_study(shared.folder("tiny-study", run) / "tiny")
