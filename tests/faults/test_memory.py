"""Memory that runs out, by a limit the system sets on the running process: the group is split and goes on."""

from __future__ import annotations

import resource
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import psutil
import pytest

from tests.faults.studies import assert_same, changed, content, ended, finish, log_of, start, wait_for

ROOM = 400 * 2**20  # for some of them, not for all

# 6 students of 5 million parameters, which AdamW makes 60 MB each.
WIDE = changed(
    data={"limit_train": 80, "limit_test": 40},
    teacher={"epochs": 1},
    student={
        "model": {"name": "resnet8", "width": 8, "kwargs": {"stem_stride": 2}}, "temperatures": [1, 2, 8],
        "seeds": [0], "epochs": 2, "optimizer": {"name": "adamw", "learning_rate": 0.001},
    },
    compute={"checkpoint_minutes": 1000},
)  # fmt: skip


def process_limit(process: BaseProcess, size: int) -> None:
    """Let the system refuse more memory (address space) than this to a running process."""
    resource.prlimit(process.pid or 0, resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))


def wait_for_note(process: BaseProcess, root: Path, note: str) -> None:
    until = time.monotonic() + 100
    while note not in log_of(root):
        assert process.is_alive(), log_of(root)[-3000:]
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.faults
def test_a_group_that_memory_does_not_hold_is_split_and_ends_with_the_same_bits(tmp_path: Path):
    finish(WIDE, tmp_path / "roomy")
    with ended(start(WIDE, tmp_path / "tight")) as process:
        wait_for(process, tmp_path / "tight" / "small" / "teachers", "*/result.json")
        taken = psutil.Process(process.pid).memory_info().vms
        process_limit(process, taken + ROOM)
        wait_for_note(process, tmp_path / "tight", "out of memory with 6 models at once: going on with 3 at most")
        process_limit(process, resource.RLIM_INFINITY)
        process.join(150)
        assert process.exitcode == 0, log_of(tmp_path / "tight")[-3000:]
    assert_same(content(tmp_path / "roomy" / "small"), content(tmp_path / "tight" / "small"))
