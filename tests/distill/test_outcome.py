"""Which student is kept, and what is said of it."""

from __future__ import annotations

import math

import pytest

from tosmooth.distill.outcome import choose, shortfalls
from tosmooth.study.plan import Cell


def cells(*settings: tuple[float, float]) -> list[Cell]:
    return [Cell(f"a{alpha:g}-T{t:g}", f"a{alpha:g}", alpha, 0, t, "hinton", "resnet8", 0) for alpha, t in settings]


def test_of_equals_the_rule_decides_and_it_is_said():
    done = cells((0, 2), (0, 1), (0.1, 1))
    kept, how = choose(done, {"a0-T2": 90.0, "a0-T1": 90.0, "a0.1-T1": 90.0})
    assert (kept.name, how) == (
        "a0.1-T1",
        "the best of 3 students by validation (2 are as good; then the lower T, then the smoothed teacher)",
    )
    kept, how = choose(done, {"a0-T2": 91.0, "a0-T1": 90.0, "a0.1-T1": 90.0})
    assert (kept.name, how) == ("a0-T2", "the best of 3 students by validation")


@pytest.mark.parametrize("missing", [None, math.nan])
def test_without_validation_the_rule_decides(missing: float | None):
    kept, how = choose(cells((0, 1), (0.1, 1), (0.1, 2)), {"a0-T1": 99.0, "a0.1-T1": missing, "a0.1-T2": 99.0})
    assert kept.name == "a0.1-T1"
    assert how.startswith("by the paper's rule")


@pytest.mark.parametrize(
    ("teacher", "student", "said"),
    [
        (90.0, 80.0, []),
        (None, None, []),
        (90.0, 27.0, ["the student is right on 27.0 % of validation, and chance on 25.0 %"]),
        (26.0, 25.0, ["the teacher is right on 26.0 %", "the student is right on 25.0 %"]),
        (60.0, 70.0, ["the teacher (60.0 % on validation) is worse than its student (70.0 %)"]),
    ],
)
def test_models_near_chance_are_warned_about(teacher: float | None, student: float | None, said: list[str]):
    found = shortfalls(teacher, student, 4)
    assert len(found) == len(said)
    assert all(text.startswith(start) for text, start in zip(found, said, strict=True))
