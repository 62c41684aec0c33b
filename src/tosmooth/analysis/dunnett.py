"""Dunnett's quantile: how far the largest of several t-values against one common setting goes by chance."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import interpolate, optimize, special, stats

_NORMAL, _WEIGHTS = np.polynomial.hermite_e.hermegauss(64)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
_UNIT, _HALVES = np.polynomial.legendre.leggauss(64)
KNOTS = (0, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)  # 1 / ν of the table


@lru_cache(maxsize=4096)
def dunnett_quantile(comparisons: int, freedom: float, confidence: float = 0.95, correlation: float = 0.5) -> float:
    """d with P(T₁ ≤ d, …, T_k ≤ d) = confidence, for k one-sided t-values with a common correlation.

    T_j = (√ρ Z₀ + √(1 − ρ) Z_j) / S with S² ~ χ²/ν. By Gauss–Hermite quadrature over Z₀ and Gauss–Legendre quadrature
    over the quantiles of S; right to three digits after the point.

    Args:
        comparisons: k ≥ 1.
        freedom: ν > 0, degrees of freedom of the error; inf where it is known.
        confidence: in (0, 1).
        correlation: ρ in [0, 1); ½ where all settings are as precise as one another.

    Raises:
        ValueError: an argument is outside its range.

    Source: Dunnett, A multiple comparison procedure for comparing several treatments with a control (JASA 1955).
    """
    if comparisons < 1 or not freedom > 0 or not 0 < confidence < 1 or not 0 <= correlation < 1:
        raise ValueError(
            "one comparison or more, degrees of freedom > 0, a confidence in (0, 1) and a correlation in [0, 1) are "
            f"needed; got {comparisons}, {freedom}, {confidence} and {correlation}"
        )
    if comparisons == 1:
        return float(stats.norm.ppf(confidence) if math.isinf(freedom) else stats.t.ppf(confidence, freedom))
    if math.isinf(freedom):
        spread, weights = np.ones(1), np.ones(1)
    else:
        spread, weights = np.sqrt(stats.chi2.ppf((_UNIT + 1) / 2, freedom) / freedom), _HALVES / 2
    common = math.sqrt(correlation) * _NORMAL

    def missed(bound: float) -> float:
        single = special.ndtr((bound * spread[:, None] - common) / math.sqrt(1 - correlation))
        return float(weights @ (single**comparisons @ _WEIGHTS)) - confidence

    # By Bonferroni's inequality the quantile is no larger than the t-quantile of (1 − confidence) / k.
    highest = stats.t.isf((1 - confidence) / comparisons, min(freedom, 1e9)) + 1
    lowest = min(0.0, float(stats.norm.ppf(confidence))) - 1
    found = float(optimize.brentq(missed, lowest, highest, xtol=1e-10))
    # Far out (a first look of many) the quadrature misses the tail of few degrees of freedom; one t-value is a bound.
    return max(found, float(stats.t.ppf(confidence, min(freedom, 1e9))))


@lru_cache(maxsize=1024)
def _table(comparisons: int, confidence: float, correlation: float) -> interpolate.CubicSpline:
    """log d over 1 / ν."""
    exact = [dunnett_quantile(comparisons, 1 / x if x > 0 else math.inf, confidence, correlation) for x in KNOTS]
    return interpolate.CubicSpline(KNOTS, np.log(exact))


def dunnett_quantiles(
    comparisons: int, freedom: NDArray[np.float64], confidence: float, correlation: float
) -> NDArray[np.float64]:
    """The quantile for each of many degrees of freedom; where these differ, by a table, to three digits.

    Args:
        comparisons: k ≥ 1.
        freedom: ν ≥ 1, of any shape.
        confidence: in (0, 1).
        correlation: in [0, 1).
    """
    if (freedom == freedom.flat[0]).all() or confidence <= 0.5:
        exact = [dunnett_quantile(comparisons, float(x), confidence, correlation) for x in freedom.flat]
        return np.array(exact).reshape(freedom.shape)
    return np.asarray(np.exp(_table(comparisons, confidence, correlation)(1 / freedom)), dtype=np.float64)
