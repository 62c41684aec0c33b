"""The planner of a search, and who goes on, by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from tosmooth.advice.units import Setting
from tosmooth.errors import ConfigError, StudyError
from tosmooth.search.halving import Rung, Rungs, climb, plan_rungs, ranked
from tosmooth.search.learning_curves import score_at


def as_rows(candidates: int, epochs: int, eta: float, budget: float | None) -> list[tuple[int, int, int]]:
    return [(r.candidates, r.start, r.stop) for r in plan_rungs(candidates, epochs, eta, budget).rungs]


def test_the_default_recipe():
    """8 candidates × 4 epochs = 32. Two rungs cost 8 + 2·3 = 14 at least, three cost 8·1 + 2·1 + 1·2 = 12 ≤ 12.8."""
    plan = plan_rungs(8, 4, 3, 0.4)
    assert plan.rungs == (Rung(8, 0, 1), Rung(2, 1, 2), Rung(1, 2, 4))
    assert [rung.cost for rung in plan.rungs] == [8, 2, 2]
    assert (plan.cost, plan.full_cost, plan.share) == (12, 32, 0.375)


def test_with_more_room_more_candidates_reach_the_end():
    """Both plans have a first rung of one epoch; 8 + 2·3 = 14 ≤ 0.45·32 = 14.4 keeps two to the end."""
    assert as_rows(8, 4, 3, 0.45) == [(8, 0, 1), (2, 1, 4)]


def test_the_first_decision_is_taken_as_late_as_the_budget_allows():
    """9 candidates × 27 epochs, η = 3: 9 → 3 → 1 with a first rung of e, a second up to ⌊√(27 e)⌋.

    0.4 · 243 = 97.2. e = 7: ends 7, 13, 27: 63 + 18 + 14 = 95. e = 8: 8, 14, 27: 72 + 18 + 13 = 103, too much; two
    rungs (9 → 3): 9·8 + 3·19 = 129 as well.
    """
    assert as_rows(9, 27, 3, 0.4) == [(9, 0, 7), (3, 7, 13), (1, 13, 27)]


def test_the_classic_plan_is_found_where_the_budget_is_its_cost():
    """e = 3: ends 3, 9, 27: 27 + 18 + 18 = 63; e = 4 (4, 10, 27) would cost 36 + 18 + 17 = 71."""
    assert as_rows(9, 27, 3, 63 / 243) == [(9, 0, 3), (3, 3, 9), (1, 9, 27)]


def test_the_whole_grid():
    assert as_rows(8, 4, 3, 1.0) == [(8, 0, 4)]


def test_without_a_budget_the_least_possible_counts_where_it_is_more():
    """8 × 2 epochs: 8 + 2 = 10 of 16 at least."""
    assert plan_rungs(8, 2).budget == 10 / 16
    assert plan_rungs(8, 4).budget == 0.4


@pytest.mark.parametrize(("candidates", "epochs"), [(1, 5), (8, 1)])
def test_where_nothing_can_be_saved(candidates: int, epochs: int):
    assert as_rows(candidates, epochs, 3, None) == [(candidates, 0, epochs)]
    with pytest.raises(ConfigError, match=r"the least possible is 1$"):
        plan_rungs(candidates, epochs, 3, 0.9)


def test_a_budget_too_small_is_told_the_least_possible():
    with pytest.raises(ConfigError, match=r"8 candidates of 4 epochs with --eta 3; the least possible is 0\.375$"):
        plan_rungs(8, 4, 3, 0.37)
    plan_rungs(8, 4, 3, 0.375)


def test_the_least_possible_that_is_told_is_enough():
    """17 of 7 · 9 = 63 is 0.2698…; told as 0.27."""
    with pytest.raises(ConfigError) as caught:
        plan_rungs(7, 9, 3, 0.01)
    told = float(str(caught.value).rsplit(" ", 1)[1])
    assert plan_rungs(7, 9, 3, told).share <= told


def test_a_share_that_binary_numbers_miss():
    """0.58 · 100 is 57.99999999999999 in binary. 10 → 3 with a first rung of 4 costs 40 + 3·6 = 58; 5, 7, 10: 59."""
    assert as_rows(10, 10, 3, 0.58) == [(10, 0, 4), (3, 4, 10)]


@pytest.mark.parametrize("candidates", [2, 3, 8, 27])
@pytest.mark.parametrize("epochs", [2, 3, 4, 30])
@pytest.mark.parametrize("eta", [1.01, 1.5, 3, 1e6])
def test_what_every_plan_keeps_to(candidates: int, epochs: int, eta: float):
    least = plan_rungs(candidates, epochs, eta)
    for budget in (None, 0.4, 0.55, 0.9, 1.0):
        if budget is not None and budget < least.budget:
            continue
        plan = plan_rungs(candidates, epochs, eta, budget)
        assert plan.cost <= plan.budget * candidates * epochs + 1e-6
        assert plan.rungs[0].candidates == candidates
        assert (plan.rungs[0].start, plan.rungs[-1].stop) == (0, epochs)
        assert all(rung.stop > rung.start for rung in plan.rungs)
        for one, following in zip(plan.rungs, plan.rungs[1:], strict=False):
            assert following.start == one.stop
            assert 1 <= following.candidates < one.candidates
            assert following.candidates == max(1, min(one.candidates - 1, math.floor(one.candidates / eta)))


@pytest.mark.parametrize("budget", [0.0, -0.1, 2.0, 1.0001, math.nan, math.inf])
def test_a_budget_that_is_no_share_is_refused(budget: float):
    with pytest.raises(ConfigError, match=r"--budget: must be a share of the whole grid above 0 and at most 1"):
        plan_rungs(8, 4, 3, budget)


@pytest.mark.parametrize("eta", [1.0, 0.0, -3.0, math.nan, math.inf])
def test_an_eta_that_keeps_all_is_refused(eta: float):
    with pytest.raises(ConfigError, match="--eta: must be a number above 1"):
        plan_rungs(8, 4, eta, 0.4)


def test_all_mistakes_come_at_once():
    with pytest.raises(ConfigError) as caught:
        plan_rungs(0, 0, 1.0, 7.0)
    assert len(caught.value.mistakes) == 4


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
