"""How a grid is cut into jobs for a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tosmooth.recipes.reading import load_config
from tosmooth.study.context import Context
from tosmooth.study.progress import StudyProgress
from tosmooth.study.ray_engine import Job, jobs_of


def sizes(jobs: list[Job]) -> list[int]:
    return [len(job.names) for job in jobs]


@pytest.mark.parametrize(
    ("workers", "overrides", "expected"),
    [
        (1, [], [4, 4]),  # two seeds of four cells
        (2, [], [4, 4]),
        (3, [], [4, 4]),
        (4, [], [2, 2, 2, 2]),
        (100, [], [1] * 8),
        (6, [], [2, 2, 2, 2]),
        (2, ["compute.group_size=3"], [3, 1, 3, 1]),
        (100, ["compute.group_size=3"], [1] * 8),
    ],
)
def test_groups_stay_whole_unless_workers_would_be_idle(
    tiny_raw: dict[str, Any], tmp_path: Path, silent: StudyProgress, workers: int, overrides: list[str], expected: Any
):
    context = Context.join(load_config(tiny_raw, overrides), tmp_path, silent)
    teachers, _, students = jobs_of(context, workers)
    assert [job.names for job in teachers] == [("a0-s0",), ("a0.1-s0",)]
    assert sizes(students) == expected
    names = [name for job in students for name in job.names]
    assert sorted(names) == sorted(cell.name for cell in context.plan.cells)
    assert len({job.key for job in (*teachers, *students)}) == len(teachers) + len(students)


def test_what_is_finished_is_no_work(tiny_raw: dict[str, Any], tmp_path: Path, silent: StudyProgress):
    context = Context.join(load_config(tiny_raw), tmp_path, silent)
    for owner in (context.plan.teachers[0], *context.plan.groups[0]):
        context.write_record(owner, {"status": "done"})
    teachers, _, students = jobs_of(context, 2)
    assert [job.names for job in teachers] == [("a0.1-s0",)]
    assert [job.key for job in students] == ["seed-1-part-0", "seed-1-part-1"]


def test_trials_of_learning_rates_come_before_the_grid(tiny_raw: dict[str, Any], tmp_path: Path, silent: StudyProgress):
    overrides = ["student.learning_rates=[0.5,1]", "student.learning_rate_seeds=1"]
    context = Context.join(load_config(tiny_raw, overrides), tmp_path, silent)
    _, _, trials = jobs_of(context, 1, context.plan.trials)
    assert sizes(trials) == [8]
    for group in context.plan.trials:
        for cell in group:
            context.write_record(cell, {"status": "done", "val/top1": 50 / cell.rate})
    _, _, students = jobs_of(context.at_own_rates(), 1)
    assert [job.names for job in students] == [tuple(f"{cell.name}-lr0.5" for cell in context.plan.groups[1])]
