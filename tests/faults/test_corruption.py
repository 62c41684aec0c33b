"""150 random corruptions over all kinds of files of a finished study: each is detected or harmless.

Never is a number silently another one: a command that reads a damaged file stops with a sentence that names it, or
makes of it what it makes of the sound study.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.faults.corruption import commands, outcome
from tests.folder.page import matching
from tosmooth.folder.results import StudyResults

CORRUPTIONS, SAMPLE = 150, 5
# What no command reads as a number, or only a command that is not tried here: learning curves of students that no
# figure shows, the report, and what is only there for people.
UNREAD = {
    "report.html", "figures/<figure>.png", "tables/<table>.csv", "<model>/last.safetensors", "<model>/metrics.jsonl",
    "analysis/similar_classes.csv", "state/report-sums.json", "state/lock",
}  # fmt: skip


@pytest.fixture(scope="module")
def expected(
    tiny_study: StudyResults, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, list[str]], Mapping[str, Any]]:
    """What the commands make of the sound study."""
    known: dict[tuple[str, ...], Mapping[str, Any]] = {}

    def of(name: str, models: list[str]) -> Mapping[str, Any]:
        key = (name, *models) if name == "export" else (name,)
        if key not in known:
            study = Path(shutil.copytree(tiny_study.path, tmp_path_factory.mktemp("sound") / "tiny"))
            known[key] = commands(models)[name](study)
        return known[key]

    return of


@pytest.mark.usefixtures("unreported")
@pytest.mark.parametrize(
    "seed",
    [pytest.param(seed, marks=[] if seed < SAMPLE else pytest.mark.faults) for seed in range(CORRUPTIONS)],
)
def test_damage_is_detected_or_harmless(
    tiny_study: StudyResults,
    tmp_path: Path,
    expected: Callable[[str, list[str]], Mapping[str, Any]],
    seed: int,
):
    found = outcome(tiny_study.path, tmp_path, seed, expected)
    assert not found.silent, found
    for error in found.errors.values():
        assert any(file in error for file in found.damage.files) or "in the configuration" in error, error
    if not found.errors and found.said:
        assert all(matching(file)[0].files[0] in UNREAD for file in found.damage.files), found
    if found.errors:
        assert found.said, found
