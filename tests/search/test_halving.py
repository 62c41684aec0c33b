"""Who goes on, by hand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tosmooth.advice.comparisons import Setting
from tosmooth.errors import StudyError
from tosmooth.search.halving import climb, ranked
from tosmooth.search.learning_curves import score_at
from tosmooth.search.rungs import Rung, Rungs

A, B, C, D = settings = [("hinton", 0.0, float(t), "resnet8") for t in (1, 2, 3, 4)]
PLAN = Rungs((Rung(4, 0, 1), Rung(2, 1, 2), Rung(1, 2, 3)), eta=2, budget=0.6)


def test_the_best_of_each_rung_go_on_and_only_they_are_asked_for():
    """A leads, B overtakes it in rung 2; C would win in the end but is dropped after rung 1."""
    tables = [{A: 5.0, B: 4.0, C: 3.0, D: 2.0}, {A: 6.0, B: 7.0, C: 9.0}, {A: 8.0, B: 8.5, C: 99.0}]
    asked = []

    def judge(number: int, going: Sequence[Setting]) -> dict[Setting, float]:
        asked.append(list(going))
        return {setting: tables[number][setting] for setting in going}

    decisions = climb(PLAN, settings, judge)
    assert asked == [[A, B, C, D], [A, B], [B]]
    assert [decision.kept for decision in decisions] == [(A, B), (B,), (B,)]
    assert decisions[1].scores == {B: 7.0, A: 6.0}


def test_who_cannot_be_judged_is_dropped():
    decisions = climb(PLAN, settings, lambda number, going: {s: 1.0 for s in going if s not in (A, B)})
    assert [decision.kept for decision in decisions] == [(C, D), (C,), (C,)]


def test_where_nobody_is_left_it_is_said():
    with pytest.raises(StudyError, match="no student was trained to the end of rung 1"):
        climb(PLAN, settings, lambda number, going: {})


def test_equal_candidates_go_in_the_order_of_their_settings():
    assert ranked({D: 1.0, B: 1.0, A: 0.5, C: 1.0}) == [B, C, D, A]


def test_a_score_is_that_of_the_weights_kept_so_far():
    curve = [50.0, 70.0, 60.0]
    assert [score_at(curve, epoch, "best") for epoch in (1, 2, 3)] == [50.0, 70.0, 70.0]
    assert [score_at(curve, epoch, "last") for epoch in (1, 2, 3)] == [50.0, 70.0, 60.0]
