from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from tests.fake_study.tables import TEMPERATURES, results_table
from tosmooth.advice.inheritance import COLUMNS, ece_column, inheritance_table, judge_inheritance


def _judged(
    gap: Callable[[float], float], *, teachers: tuple[float, float] = (0.03, 0.07), seeds: int = 6, noise: float = 0.002
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Students of the smoothed teacher lie `gap(T)` above those of the unsmoothed one, which lie at 0.05."""
    random = np.random.default_rng(0)
    results = results_table(lambda a, t: 80.0, seeds=seeds)
    smoothed = results.label_smoothing > 0
    own = results.temperature.map(gap).where(smoothed, 0.0)
    results["cal/ece"] = 0.05 + own + random.normal(0, noise, len(results))
    table = inheritance_table(results, pd.DataFrame({"label_smoothing": [0.0, 0.1], "cal/ece": teachers}))
    return table, judge_inheritance(table)


@pytest.mark.parametrize(
    ("gap", "teachers", "verdict"),
    [
        (lambda t: 0.03, (0.03, 0.07), "shown"),
        (lambda t: -0.02, (0.07, 0.03), "shown"),
        (lambda t: 0.03 if t == 1 else 0.0, (0.03, 0.07), "in part"),
        (lambda t: -0.03, (0.03, 0.07), "opposite"),
        (lambda t: 0.03 if t == 1 else -0.03, (0.03, 0.07), "mixed"),
        (lambda t: 0.0, (0.03, 0.07), "not shown"),
        (lambda t: 0.03, (0.050, 0.053), "nothing to inherit"),
    ],
)
def test_the_verdict_follows_the_gaps(gap, teachers, verdict):
    table, found = _judged(gap, teachers=teachers)
    assert found == {"verdict": verdict}
    assert list(table.columns) == COLUMNS
    assert set(table.temperature) == set(TEMPERATURES)


def test_the_table_by_hand():
    table, _ = _judged(lambda t: 0.01 * t, noise=0.0)
    row = table[(table.label_smoothing == 0.1) & (table.temperature == 2)].iloc[0]
    assert (row.teacher_ece, row.teacher_gap) == (0.07, pytest.approx(0.04))
    assert (row.ece, row.gap, row.n) == (pytest.approx(0.07), pytest.approx(0.02), 6)
    plain = table[table.label_smoothing == 0]
    assert plain.gap.isna().all()
    assert (plain.relation == "").all()


def test_two_seeds_tell_nothing():
    _, found = _judged(lambda t: 0.03, seeds=2)
    assert found == {"verdict": "inconclusive", "reason": "too few"}


def test_a_single_teacher_has_nothing_to_compare_with():
    results = results_table(lambda a, t: 80.0).assign(**{"cal/ece": 0.05})
    only = results[results.label_smoothing > 0]
    table = inheritance_table(only, pd.DataFrame({"label_smoothing": [0.1], "cal/ece": [0.05]}))
    assert judge_inheritance(table) == {"verdict": "inconclusive", "reason": "no pair"}
    assert len(table) == 3


def test_validation_stands_in_where_test_was_not_read_for_all():
    results = results_table(lambda a, t: 80.0).assign(**{"cal/ece": 0.05, "cal/ece_val": 0.06})
    teachers = pd.DataFrame({"label_smoothing": [0.0], "cal/ece": [0.05], "cal/ece_val": [0.06]})
    assert ece_column(results, teachers) == "cal/ece"
    results.loc[3, "cal/ece"] = None
    assert ece_column(results, teachers) == "cal/ece_val"
    results.loc[3, "status"] = "failed"
    assert ece_column(results, teachers) == "cal/ece"
    assert inheritance_table(results.drop(columns=["cal/ece", "cal/ece_val"]), teachers).empty
