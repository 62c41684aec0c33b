"""Intervals and tests; the seed is the unit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats


@dataclass(frozen=True)
class Interval:
    """A mean with its interval; `low` and `high` are NaN where one value is all there is."""

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class SignFlip:
    """Two-sided exact p, and the smallest p that this number of values could have reached."""

    p: float
    smallest_possible: float


def _values(values: ArrayLike) -> NDArray[np.float64]:
    found = np.asarray(values, dtype=np.float64).ravel()
    if not len(found):
        raise ValueError("no values")
    if not np.isfinite(found).all():
        raise ValueError(f"{np.sum(~np.isfinite(found))} of {len(found)} values are not finite; leave them out first")
    return found


def _level(level: float) -> float:
    if not 0 < level < 1:
        raise ValueError(f"the confidence level must be in (0, 1), got {level}")
    return level


def t_interval(values: ArrayLike, level: float = 0.95) -> Interval:
    """Student's t-interval of a mean.

    Args:
        values: (n,), one per seed.
        level: confidence in (0, 1).

    Raises:
        ValueError: there are no values, one is not finite, or the level is outside (0, 1).
    """
    found, level = _values(values), _level(level)
    mean = float(found.mean())
    if len(found) == 1:
        return Interval(mean, math.nan, math.nan, 1)
    half = float(stats.t.ppf(0.5 + level / 2, len(found) - 1) * found.std(ddof=1) / math.sqrt(len(found)))
    return Interval(mean, mean - half, mean + half, len(found))


def sign_flip_test(values: ArrayLike) -> SignFlip:
    """Exact two-sided sign-flip (permutation) test of the mean being 0.

    All 2ⁿ sign patterns up to n = 16, else 100,000 seeded random ones (the observed pattern included, so p is never 0).
    With fewer than 6 values p < 0.05 cannot be reached: the smallest possible is 2/2ⁿ.

    Raises:
        ValueError: there are no values, or one is not finite.
    """
    found = _values(values)
    count = len(found)
    if count <= 16:
        bits = np.arange(2**count)[:, None] >> np.arange(count) & 1  # every subset of the values has its sign flipped
        signs = 1.0 - 2.0 * bits
    else:
        draws = np.random.default_rng(0).choice((-1.0, 1.0), size=(99_999, count))
        signs = np.concatenate([np.ones((1, count)), draws])
    sums = np.abs(signs @ found)
    # The tolerance, in the values' own size, keeps patterns equal to the observed one from being lost to rounding.
    p = float(np.mean(sums >= sums[0] - 1e-12 * np.abs(found).sum()))
    return SignFlip(p, max(2 / 2**count, 1 / len(signs)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment (1979): adjusted p-values in the order given, each at most 1.

    NaN (a test that could not be made) stays NaN and does not count as a test.

    Raises:
        ValueError: a p-value is outside [0, 1].
    """
    if any(not (math.isnan(p) or 0 <= p <= 1) for p in p_values):
        raise ValueError(f"p-values must be in [0, 1], got {list(p_values)}")
    order = sorted((i for i, p in enumerate(p_values) if not math.isnan(p)), key=lambda i: p_values[i])
    adjusted = [math.nan] * len(p_values)
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(order) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def mcnemar(correct_a: ArrayLike, correct_b: ArrayLike) -> float:
    """Exact two-sided McNemar test: p that two classifiers, judged on the same samples, err equally often.

    Args:
        correct_a: (N,) booleans.
        correct_b: (N,) booleans.

    Raises:
        ValueError: the shapes differ.
    """
    a, b = _judged(correct_a, correct_b)
    only_a, only_b = int(np.sum(a & ~b)), int(np.sum(b & ~a))
    return 1.0 if only_a + only_b == 0 else float(stats.binomtest(only_a, only_a + only_b, 0.5).pvalue)


def _judged(correct_a: ArrayLike, correct_b: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    a, b = np.asarray(correct_a, dtype=bool), np.asarray(correct_b, dtype=bool)
    if a.shape != b.shape:
        raise ValueError(f"both must judge the same samples; got {a.shape} and {b.shape}")
    return a, b


def paired_bootstrap(correct_a: ArrayLike, correct_b: ArrayLike, seed: int = 0, *, level: float = 0.95) -> Interval:
    """Percentile bootstrap of accuracy(a) − accuracy(b) over the samples both were judged on: for these models only.

    Resampling samples is drawing three counts (a alone right, b alone right, no difference) from a multinomial
    distribution, so any number of samples costs the same. Half a disagreement each way is added to the observed counts
    (after Agresti and Min, Statistics in Medicine 2005), so that two models that happen to agree on few samples are not
    called equal for certain.

    Args:
        correct_a: (N,) booleans.
        correct_b: (N,) booleans.
        seed: of the 9999 resamples.
        level: confidence in (0, 1).

    Returns:
        The difference in [−1, 1] with its interval, `n` = N.

    Raises:
        ValueError: the shapes differ, there are no samples, or the level is outside (0, 1).
    """
    a, b, level = *_judged(correct_a, correct_b), _level(level)
    if not len(a):
        raise ValueError("no values")
    only_a, only_b, count = int(np.sum(a & ~b)), int(np.sum(b & ~a)), len(a)
    chances = np.array([only_a + 0.5, only_b + 0.5, count - only_a - only_b]) / (count + 1)
    drawn = np.random.default_rng(seed).multinomial(count, chances, size=9999)
    low, high = np.quantile((drawn[:, 0] - drawn[:, 1]) / count, [0.5 - level / 2, 0.5 + level / 2])
    return Interval((only_a - only_b) / count, float(low), float(high), count)


def bootstrap_interval(values: ArrayLike, seed: int = 0, *, level: float = 0.95) -> Interval:
    """Percentile bootstrap interval of a mean over classes: it speaks for these students only, not for new seeds.

    Args:
        values: (n,), one per class.
        seed: of the 9999 resamples.
        level: confidence in (0, 1).

    Raises:
        ValueError: there are no values, one is not finite, or the level is outside (0, 1).
    """
    found, level = _values(values), _level(level)
    if len(found) == 1:
        return Interval(float(found[0]), math.nan, math.nan, 1)
    result: Any = stats.bootstrap(
        (found,), np.mean, confidence_level=level, method="percentile", rng=np.random.default_rng(seed)
    )
    interval = result.confidence_interval
    return Interval(float(found.mean()), float(interval.low), float(interval.high), len(found))
