"""What would settle an open comparison, and how often one may look while blocks are being added."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tosmooth.analysis.multiple_comparison import Comparison, best_of, half_widths


def seeds_needed(
    comparison: Comparison, *, sides: Mapping[Hashable, Hashable] | None = None, at_most: int = 1000
) -> int | None:
    """About how many further blocks (seeds, for all settings) would settle what is open.

    Settled means: what could be best is on one side, or every side that could be best has a setting that is as good as
    the best one within the margin. The means are taken to stay as they are; the part of blocks shrinks with their
    number, that of images stays; degrees of freedom grow in proportion. So it is a typical number: half of all studies
    need more. Means that are nearly equal while the margin is small give a large number.

    Args:
        comparison: as it stands.
        sides: by column, the side it is on (smoothed or not). None = each column is its own side.
        at_most: further blocks that are looked at.

    Returns:
        0 where it is settled. None where images limit and no number of blocks helps, or where more than `at_most` would
        be needed.

    Raises:
        ValueError: differences are open because the design has no such error, a comparison of images alone, or a column
            without a side.
    """
    columns = list(comparison.means.index)
    lacking = [column for column in columns if sides is not None and column not in sides]
    if lacking:
        raise ValueError(f"no side is given for {lacking}")
    if comparison.images_alone or not np.isfinite(comparison.variance).all():
        raise ValueError("the variance between blocks is not known; two blocks or more with all settings are needed")
    side = np.array([list(dict.fromkeys(columns if sides is None else sides.values())).index(
        column if sides is None else sides[column]) for column in columns])  # fmt: skip

    def settled(further: float) -> bool:
        return _settled(comparison, side, 1 + further / comparison.blocks)

    if settled(0):
        return 0
    if not settled(math.inf) or not settled(at_most):
        return None
    low, high = 0, 1
    while not settled(high):
        low, high = high, min(2 * high, at_most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if settled(middle) else (middle, high)
    return high


def _settled(comparison: Comparison, side: NDArray[np.int64], growth: float) -> bool:
    """Whether `growth` times as many blocks leave one side, or sides that are equivalent."""
    images = comparison.image_variance
    blocks = np.maximum(comparison.variance - images, 0.0)
    variance = blocks / growth + images
    with np.errstate(divide="ignore", invalid="ignore"):
        # Satterthwaite, backwards and forwards: the degrees of freedom of the blocks' part alone grow with them.
        own = comparison.freedom * (blocks / comparison.variance) ** 2
        freedom = own * growth * (variance / (blocks / growth)) ** 2
    freedom = np.where(np.isfinite(freedom) & (freedom > 0), freedom, np.inf)
    means = comparison.means.to_numpy() * (1 if comparison.higher_is_better else -1)
    inside, low, _ = best_of(means, half_widths(variance, freedom, comparison.confidence))
    left = set(side[inside])
    return len(left) == 1 or left <= set(side[low >= -comparison.margin])


def spent_confidence(looks: int, look: int, confidence: float = 0.95) -> float:
    """The confidence for one of several looks, so that all of them together keep `confidence`.

    Lan and DeMets' spending of the error rate in the shape of O'Brien and Fleming: up to a share t of the looks
    α(t) = 2 − 2 Φ(z₁₋α⸝₂ / √t) is spent, and a look has what is added there. The looks' shares simply add up
    (Bonferroni), which needs nothing to be known of how looks depend on each other, or of the rule for adding blocks.
    It is a little wider than exact boundaries. Early looks get almost nothing, the last one most.

    A setting that has left the set at one look stays out.

    Args:
        looks: how many there will be at most, ≥ 1.
        look: which one this is, 1 … looks.
        confidence: of the whole procedure, in (0, 1).

    Returns:
        The confidence for `compare_settings` at this look.

    Raises:
        ValueError: an argument is outside its range.

    Source: Lan and DeMets, Discrete sequential boundaries for clinical trials (Biometrika 1983).
    """
    if not 1 <= look <= looks or not 0 < confidence < 1:
        raise ValueError(f"look must be in 1 … looks and confidence in (0, 1); got {look} of {looks}, {confidence}")
    edge = stats.norm.isf((1 - confidence) / 2)

    def spent(share: float) -> float:
        return float(2 * stats.norm.sf(edge / math.sqrt(share))) if share > 0 else 0.0

    return 1 - (spent(look / looks) - spent((look - 1) / looks))
