"""Which student is kept, and what is said of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from tosmooth.bring.outcome import choose, shortfalls
from tosmooth.study.context import Context
from tosmooth.study.plan import Cell, Teacher
from tosmooth.tasks.metric import TOP1


def context(scores: dict[str, float], classes: int = 4, cells: int = 1) -> Context:
    """As much of a context as these functions look at."""
    found: Any = SimpleNamespace(
        task=SimpleNamespace(metric=TOP1),
        data=SimpleNamespace(num_classes=classes),
        plan=SimpleNamespace(cells=range(cells), teachers=range(1)),
        read_record=lambda owner: {TOP1.val: scores[owner.name]},
    )
    return cast(Context, found)


def cells(*settings: tuple[float, float]) -> dict[str, Cell]:
    found = [
        cast(Cell, SimpleNamespace(name=f"a{alpha:g}-T{temperature:g}", temperature=temperature, label_smoothing=alpha))
        for alpha, temperature in settings
    ]
    return {cell.name: cell for cell in found}


def test_of_equals_the_rule_decides_and_it_is_said():
    done = cells((0, 2), (0, 1), (0.1, 1))
    kept, how = choose(context({"a0-T2": 90.0, "a0-T1": 90.0, "a0.1-T1": 90.0}), done)
    assert (kept.name, how) == (
        "a0.1-T1",
        "the best of 3 students by validation (2 are as good; then the lower T, then the smoothed teacher)",
    )
    kept, how = choose(context({"a0-T2": 91.0, "a0-T1": 90.0, "a0.1-T1": 90.0}), done)
    assert (kept.name, how) == ("a0-T2", "the best of 3 students by validation")


@pytest.mark.parametrize(
    ("teacher", "student", "said"),
    [
        (90.0, 80.0, []),
        (90.0, 27.0, ["the student is right on 27.0 % of validation, and chance on 25.0 %"]),
        (26.0, 25.0, ["the teacher is right on 26.0 %", "the student is right on 25.0 %"]),
        (60.0, 70.0, ["the teacher (60.0 % on validation) is worse than its student (70.0 %)"]),
    ],
)
def test_models_near_chance_are_warned_about(teacher: float, student: float, said: list[str]):
    owners = cast(Teacher, SimpleNamespace(name="t")), cast(Cell, SimpleNamespace(name="s"))
    found = shortfalls(context({"t": teacher, "s": student}), *owners)
    assert len(found) == len(said)
    assert all(text.startswith(start) for text, start in zip(found, said, strict=True))
