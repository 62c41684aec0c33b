from __future__ import annotations

from dataclasses import replace

from tosmooth.advice.best_student import best_by_validation
from tosmooth.tasks.metric import TOP1


def test_the_best_by_validation_and_the_first_of_equals() -> None:
    records = {"s0": {"val/top1": 88, "test/top1": 99.0}, "s1": {"val/top1": 89.5}, "s2": {"val/top1": 89.5}}
    assert best_by_validation(records, TOP1) == ("s1", 3)
    assert best_by_validation(records, replace(TOP1, lower_is_better=True)) == ("s0", 3)


def test_what_is_no_figure_has_no_say() -> None:
    records = {"s0": {"val/top1": True}, "s1": {"val/top1": "90"}, "s2": {"val/top1": float("nan")}, "s3": {}}
    assert best_by_validation(records | {"s4": {"val/top1": 1.0}}, TOP1) == ("s4", 1)
    assert best_by_validation(records, TOP1) == ("s0", 0)
