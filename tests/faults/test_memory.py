"""Memory that runs out, by a limit the system sets on the running process: the group is split and goes on."""

from __future__ import annotations

import resource
from pathlib import Path

import psutil

from tests.faults.studies import assert_same, changed, content, ended, finish, log_of, start, wait_for

MIB = 2**20

# 6 students of 2.4 million parameters, which AdamW makes 28 MB each; the rest of the process needs far less.
WIDE = changed(
    data={"limit_train": 120, "limit_test": 60},
    teacher={"epochs": 1},
    student={
        "model": {"name": "resnet8", "width": 5.5}, "temperatures": [1, 2, 8], "seeds": [0], "epochs": 2,
        "optimizer": {"name": "adamw", "learning_rate": 0.001},
    },
    compute={"checkpoint_minutes": 1000},
)  # fmt: skip


def test_a_group_that_memory_does_not_hold_is_split_and_ends_with_the_same_bits(tmp_path: Path):
    finish(WIDE, tmp_path / "roomy")
    with ended(start(WIDE, tmp_path / "tight")) as process:
        wait_for(process, tmp_path / "tight" / "small" / "teachers", "*/result.json")
        taken = psutil.Process(process.pid).memory_info().vms
        resource.prlimit(process.pid or 0, resource.RLIMIT_AS, (taken + 120 * MIB, resource.RLIM_INFINITY))
        process.join(150)
        assert process.exitcode == 0, log_of(tmp_path / "tight")[-3000:]
    assert "out of memory with 6 models at once: going on with 3 at most" in log_of(tmp_path / "tight")
    assert_same(content(tmp_path / "roomy" / "small"), content(tmp_path / "tight" / "small"))
