"""Studies that several test files read: written once a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fake_study.folder import CLASSES, HOSTILE, Variant, write_study
from tests.shared import Shared
from tosmooth.report.build import build_report
from tosmooth.report.reading import StudyFiles, read_study


@pytest.fixture(scope="session")
def effect_study(shared: Shared) -> Path:
    """A study that shows the effect, its report built. Do not write into it."""
    return shared.folder("effect-study", lambda root: reported(root, Variant(students=True))) / "demo"


@pytest.fixture(scope="session")
def hostile_study(shared: Shared) -> Path:
    """A preview without the effect, with names that try to break out of HTML, JSON and LaTeX, its report built.

    Do not write into it.
    """
    classes = (HOSTILE, "a_b & 50 % #1 $x$ {}~^\\", "<img src=x onerror=alert(2)>", *CLASSES[3:])
    variant = Variant(effect=False, preview=True, classes=classes, name="<b>bold</b> & $y$", students=True)
    return shared.folder("hostile-study", lambda root: reported(root, variant)) / "demo"


def reported(root: Path, variant: Variant) -> None:
    build_report(write_study(root / "demo", variant))


@pytest.fixture(scope="session")
def effect_files(tmp_path_factory: pytest.TempPathFactory) -> StudyFiles:
    """The effect study, read; no report is built."""
    return read_study(write_study(tmp_path_factory.mktemp("files") / "demo", Variant(students=True)))
