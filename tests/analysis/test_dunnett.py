from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from tosmooth.analysis.dunnett import dunnett_quantile, dunnett_quantiles


# Dunnett (1955), table 1a: one-sided 5 % (k treatments against one control); two digits.
@pytest.mark.parametrize(
    ("comparisons", "freedom", "published"),
    [(1, math.inf, 1.64), (3, math.inf, 2.06), (9, math.inf, 2.42), (3, 20, 2.19), (2, 10, 2.15), (4, 5, 2.85),
     (5, 5, 2.98), (9, 60, 2.48)],
)  # fmt: skip
def test_published_one_sided_values(comparisons: int, freedom: float, published: float):
    assert dunnett_quantile(comparisons, freedom) == pytest.approx(published, abs=0.0051)


def test_other_confidence_against_the_published_one_percent_table():
    # Dunnett (1955), table 1b: 1 %, k = 3, 20 degrees of freedom.
    assert dunnett_quantile(3, 20, 0.99) == pytest.approx(2.97, abs=0.0051)


def test_one_comparison_is_students_t_and_independent_ones_are_sidaks():
    assert dunnett_quantile(1, 7) == stats.t.ppf(0.95, 7)
    assert dunnett_quantile(5, math.inf, 0.95, 0.0) == pytest.approx(stats.norm.ppf(0.95 ** (1 / 5)), abs=1e-9)


@pytest.mark.parametrize(("freedom", "correlation"), [(1.0, 0.5), (3.0, 0.2), (35.0, 0.5)])
def test_quantile_is_reached_as_often_as_it_says(freedom: float, correlation: float):
    random = np.random.default_rng(0)
    common, own = random.normal(size=(400_000, 1)), random.normal(size=(400_000, 4))
    t = math.sqrt(correlation) * common + math.sqrt(1 - correlation) * own
    t /= np.sqrt(random.chisquare(freedom, (400_000, 1)) / freedom)
    below = np.mean(t.max(axis=1) <= dunnett_quantile(4, freedom, 0.95, correlation))
    assert below == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 400_000))


def test_the_table_for_many_degrees_of_freedom_is_the_quantile():
    freedom = np.array([[1.0, 1.6, 2.7], [11.3, 80.0, math.inf]])
    exact = [[dunnett_quantile(7, float(x), 0.95, 0.3) for x in row] for row in freedom]
    assert dunnett_quantiles(7, freedom, 0.95, 0.3) == pytest.approx(np.array(exact), rel=1e-4)


@pytest.mark.parametrize("given", [(0, 5.0, 0.95, 0.5), (2, 0.0, 0.95, 0.5), (2, 5.0, 1.0, 0.5), (2, 5.0, 0.95, 1.0)])
def test_ranges(given: tuple[int, float, float, float]):
    with pytest.raises(ValueError, match="are needed"):
        dunnett_quantile(*given)
