"""One process at a time on a study: the second is told who has it; a lock whose owner is gone is explained."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from pathlib import Path

import pytest

from tests.faults.conftest import Whole
from tests.faults.studies import (
    SMALL,
    assert_same,
    content,
    ended,
    finish,
    log_of,
    start,
    wait_for,
    wait_for_checkpoints,
)


@pytest.mark.faults
def test_a_second_run_is_told_who_has_the_study_and_a_stale_lock_is_explained(whole: Whole, tmp_path: Path):
    with ended(start(SMALL, tmp_path)) as owner:
        wait_for(owner, tmp_path / "small" / "state", "owner.json")
        with ended(start(SMALL, tmp_path)) as second:
            second.join(60)
            assert second.exitcode == 1
        log = log_of(tmp_path)
        assert f"is being worked on by process {owner.pid} on {socket.gethostname()}" in log
        assert "wait until it ends, or choose another name" in log
        wait_for_checkpoints(owner, tmp_path)
        owner.kill()
        owner.join()
    finish(SMALL, tmp_path)
    assert f"the last run, process {owner.pid} on {socket.gethostname()}" in log_of(tmp_path)
    assert "was killed or crashed; going on from its files" in log_of(tmp_path)
    assert_same(whole.content, content(tmp_path / "small"))


@pytest.mark.faults
def test_a_copied_study_has_no_owner(whole: Whole, tmp_path: Path):
    """The lock goes with its process: what lies on the disk alone keeps nobody out."""
    with ended(start(SMALL, tmp_path / "a")) as owner:
        wait_for_checkpoints(owner, tmp_path / "a", "2-models-*")
        os.kill(owner.pid or 0, signal.SIGSTOP)  # alive, and holding its lock
        shutil.copytree(tmp_path / "a", tmp_path / "b")
        assert (tmp_path / "b" / "small" / "state" / "owner.json").exists()
        finish(SMALL, tmp_path / "b")
    assert_same(whole.content, content(tmp_path / "b" / "small"))
