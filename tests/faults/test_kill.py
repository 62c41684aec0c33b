"""SIGKILL at random moments: whatever it hits, the study goes on to the same bits."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import Whole
from tests.faults.studies import (
    SMALL,
    assert_same,
    changed,
    content,
    finish,
    kill_after,
    start,
    start_server,
    wait_for_checkpoints,
)

POINTS = 50


def killed_and_gone_on(whole: Whole, root: Path, moment: float) -> None:
    kill_after(start(SMALL, root), moment)
    finish(SMALL, root)
    assert_same(whole.content, content(root / "small"))


@pytest.mark.parametrize("share", [0.2, pytest.param(0.6, marks=pytest.mark.faults)])
def test_a_killed_study_goes_on_to_the_same_bits(whole: Whole, tmp_path: Path, share: float):
    killed_and_gone_on(whole, tmp_path, share * whole.seconds)


@pytest.mark.faults
def test_a_killed_study_of_several_teacher_seeds_and_student_models_goes_on_to_the_same_bits(tmp_path: Path):
    """Killed among the students: both models' checkpoints and both seeds' teachers have to be found again."""
    raw = changed(
        teacher={"seeds": [0, 3], "epochs": 1},
        student={"seeds": [0], "temperatures": [8], "models": [{"name": "resnet8", "kwargs": {"stem_stride": 2}}]},
    )
    finish(raw, tmp_path / "whole")
    process = start(raw, tmp_path / "killed")
    wait_for_checkpoints(process, tmp_path / "killed", "8-models-*")
    kill_after(process, 0)
    finish(raw, tmp_path / "killed")
    assert_same(content(tmp_path / "whole" / "small"), content(tmp_path / "killed" / "small"))


@pytest.mark.faults
@pytest.mark.parametrize("point", range(POINTS))
def test_any_moment_will_do(whole: Whole, tmp_path: Path, point: int):
    killed_and_gone_on(whole, tmp_path, random.Random(point).uniform(0.01, 1.0) * whole.seconds)


@pytest.mark.faults
@pytest.mark.parametrize("series", range(3))
def test_killed_again_and_again(whole: Whole, tmp_path: Path, series: int):
    """Each run gets a little farther than the one before."""
    moments = random.Random(1000 + series)
    kills = sum(kill_after(start(SMALL, tmp_path), moments.uniform(0.2, 0.5) * whole.seconds) for _ in range(8))
    finish(SMALL, tmp_path)
    assert kills >= 4
    assert_same(whole.content, content(tmp_path / "small"))


@pytest.fixture(scope="module")
def until_sure(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Whole]:
    """Two paired seeds, and up to four as long as nothing is sure, each with teachers of its own."""
    raw = changed(teacher={"epochs": 1}, student={"pairing": "paired", "epochs": 1, "controls": []}) | {"until_sure": 4}
    root = tmp_path_factory.mktemp("until-sure")
    start_server()
    started = time.monotonic()
    finish(raw, root)
    found = content(root / "small")
    assert sum(name.startswith("teachers/") and name.endswith("/result.json") for name in found) > 4
    return raw, Whole(found, time.monotonic() - started)


@pytest.mark.faults
@pytest.mark.parametrize("point", range(12))
def test_a_study_until_sure_goes_on_to_the_same_bits(
    until_sure: tuple[dict[str, Any], Whole], tmp_path: Path, point: int
):
    raw, whole = until_sure
    for share in sorted(random.Random(2000 + point).uniform(0.1, 1.0) for _ in range(2)):
        kill_after(start(raw, tmp_path), share * whole.seconds)
    finish(raw, tmp_path)
    assert_same(whole.content, content(tmp_path / "small"))
