from __future__ import annotations

import pandas as pd
import pytest

from tests.fake_study.tables import diffusion_table
from tosmooth.advice.caveats import _sensitivity
from tosmooth.advice.effect import eta_intervals, judge_effect

pytestmark = pytest.mark.rule("R11")


def test_shown_where_students_of_the_smoothed_teacher_move_towards_similar_classes():
    effect = judge_effect(diffusion_table(lambda a, t: (0.10, -0.02) if a > 0 and t == 64 else (0.0, 0.0)))
    assert effect.verdict == "shown"
    assert effect.temperatures == (64.0,)
    assert effect.unit == "seed"


@pytest.mark.parametrize(
    ("etas", "reason"),
    [
        (lambda a, t: (0.0, 0.0), "similar"),
        (lambda a, t: (0.10, 0.10), "dissimilar"),
        (lambda a, t: (0.10, -0.02), "unsmoothed"),
    ],
)
def test_not_shown_says_which_condition_failed(etas, reason):
    effect = judge_effect(diffusion_table(etas))
    assert effect.verdict == "not shown"
    assert (effect.reason, effect.at) == (reason, (0.1, 64.0))


def test_a_contrast_without_movement_is_told_but_is_not_the_effect():
    table = diffusion_table(lambda a, t: (0.0, 0.0) if a > 0 else (-0.05, 0.0))
    assert judge_effect(table).verdict == "not shown"
    contrast = next(row for row in eta_intervals(table) if (row["temperature"], row["quantity"]) == (64, "contrast"))
    assert 0 < contrast["low"] < 0.05 < contrast["high"]


def test_opposite():
    effect = judge_effect(diffusion_table(lambda a, t: (-0.10, 0.02) if a > 0 else (0.0, 0.0)))
    assert effect.verdict == "opposite"
    assert set(effect.opposed) == {(0.1, 2.0), (0.1, 64.0)}


def test_moving_away_less_than_without_smoothing_is_not_the_opposite():
    effect = judge_effect(diffusion_table(lambda a, t: (-0.03, 0.0) if a > 0 else (-0.10, 0.0)))
    assert effect.verdict == "not shown"


@pytest.mark.parametrize("seeds", [1, 2])
def test_one_or_two_seeds_are_inconclusive_whatever_the_size(seeds):
    effect = judge_effect(diffusion_table(lambda a, t: (0.5, -0.1) if a > 0 else (0.0, 0.0), seeds=seeds))
    assert effect.verdict == "inconclusive"


def test_students_of_teachers_that_disagree_prove_nothing_however_many_they_are():
    """The same 18 students: of one teacher they show diffusion, of three that disagree they do not."""

    def towards(alpha: float, temperature: float) -> tuple[float, float]:
        return (0.05, -0.02) if alpha > 0 else (0.0, 0.0)

    table = diffusion_table(towards, seeds=6, teacher_etas=(-0.04, -0.03, 0.10))
    pooled = table.assign(seed=table.teacher_seed * 6 + table.seed).drop(columns="teacher_seed")
    assert judge_effect(pooled).verdict == "shown"
    judged = judge_effect(table)
    assert (judged.verdict, judged.unit) == ("not shown", "teacher seed")
    assert {row["n"] for row in eta_intervals(table)} == {3}
    agreeing = judge_effect(diffusion_table(towards, seeds=2, teacher_etas=(0.0, 0.001, -0.001)))
    assert (agreeing.verdict, agreeing.unit) == ("shown", "teacher seed")


def test_two_teacher_seeds_are_inconclusive_with_any_number_of_students():
    effect = judge_effect(diffusion_table(lambda a, t: (0.5, -0.1) if a > 0 else (0.0, 0.0), teacher_etas=(0.0, 0.01)))
    assert (effect.verdict, effect.reason, effect.unit) == ("inconclusive", "too few", "teacher seed")


def test_without_a_smoothed_teacher_there_is_nothing_to_judge():
    table = diffusion_table(lambda a, t: (0.1, 0.0))
    for nothing in (table[table.label_smoothing == 0], table.head(0)):
        effect = judge_effect(nothing)
        assert (effect.verdict, effect.reason) == ("inconclusive", "no students")


def test_without_an_unsmoothed_teacher_the_contrast_is_left_out():
    table = diffusion_table(lambda a, t: (0.1, 0.0))
    smoothed = table[table.label_smoothing > 0]
    assert judge_effect(smoothed).verdict == "shown"
    assert {row["quantity"] for row in eta_intervals(smoothed)} == {"eta_s1", "eta_s2", "eta_s1-eta_s2"}


def test_shown_for_one_teacher_and_opposite_for_another_is_mixed_and_both_are_named():
    strong = diffusion_table(lambda a, t: (0.10, -0.02) if a > 0 and t == 64 else (0.0, 0.0))
    weak = diffusion_table(lambda a, t: (-0.10, 0.02))
    weak = weak[weak.label_smoothing > 0].assign(label_smoothing=0.05)
    effect = judge_effect(pd.concat([strong, weak]))
    assert effect.verdict == "mixed"
    assert effect.shown == ((0.1, 64.0),)
    assert set(effect.opposed) == {(0.05, 2.0), (0.05, 64.0)}


def test_the_caveat_on_normalisation_looks_only_where_the_effect_was_found():
    strong = diffusion_table(lambda a, t: (0.10, -0.02) if a > 0 and t == 64 else (0.0, 0.0))
    weak = diffusion_table(lambda a, t: (-0.50, 0.0), noise=0.4)
    weak = weak[weak.label_smoothing > 0].assign(label_smoothing=0.05)  # far below 0, and at no T beyond chance
    table = pd.concat([strong, weak])
    effect = judge_effect(table)
    assert effect.shown == ((0.1, 64.0),)
    assert _sensitivity(table, effect, "hinton") == []
