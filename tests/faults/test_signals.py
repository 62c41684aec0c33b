"""Ctrl-C and a scheduler's SIGTERM: the study saves, says how to go on, and goes on to the same bits."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import pytest

from tests.faults.conftest import Whole
from tests.faults.studies import (
    SMALL,
    assert_same,
    changed,
    content,
    ended,
    finish,
    log_of,
    start,
    wait_for_checkpoints,
)

# No checkpoint but those of epochs' ends: what is saved within an epoch, the signal has saved.
EPOCHS_ONLY = changed(compute={"checkpoint_minutes": 1000})


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.faults), signal.SIGTERM])
def test_a_signal_saves_and_leaves(whole: Whole, tmp_path: Path, number: signal.Signals):
    with ended(start(EPOCHS_ONLY, tmp_path)) as process:
        wait_for_checkpoints(process, tmp_path)
        os.kill(process.pid or 0, number)
        process.join(30)
        assert process.exitcode == 128 + number
    assert f"stopped by {number.name}; all progress is saved, and the same command goes on" in log_of(tmp_path)
    assert "Traceback" not in log_of(tmp_path)
    assert not (tmp_path / "small" / "state" / "owner.json").exists()  # left, not lost
    finish(EPOCHS_ONLY, tmp_path)
    assert "was killed or crashed" not in log_of(tmp_path)
    assert_same(whole.content, content(tmp_path / "small"))


@pytest.mark.faults
@pytest.mark.parametrize("point", range(12))
def test_a_signal_at_any_moment(whole: Whole, tmp_path: Path, point: int):
    moment = random.Random(point).uniform(0.02, 0.95) * whole.seconds
    with ended(start(SMALL, tmp_path)) as process:
        process.join(moment)
        if process.is_alive():
            os.kill(process.pid or 0, random.Random(point).choice([signal.SIGINT, signal.SIGTERM]))
        process.join(30)
        assert process.exitcode in {0, 128 + signal.SIGINT, 128 + signal.SIGTERM, -signal.SIGINT, -signal.SIGTERM}
    assert "Traceback" not in log_of(tmp_path)
    finish(SMALL, tmp_path)
    assert_same(whole.content, content(tmp_path / "small"))
