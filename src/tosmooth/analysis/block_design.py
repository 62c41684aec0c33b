"""Settings in blocks by least squares: their means, and the variance of each difference between two of them.

Three models. *One error*: metric = setting + block + error. *Unequal errors*: the same, each setting with a variance of
its own, shrunken towards the pooled one. *Split plot*: settings of one teacher share that teacher's luck, so that
differences between teachers have an error of their own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

Floats = NDArray[np.float64]
TINY = 1e-9
CAUTION = 1.0  # standard errors by which differences between variances are taken to be larger than they look


@dataclass(frozen=True, eq=False)
class BlockFit:
    """Means of C settings, and what is known of their differences.

    Attributes:
        means: (C,) adjusted for blocks that a setting lacks.
        variance: (C, C) of each difference, from blocks; inf where it cannot be known ("open").
        freedom: (C, C) degrees of freedom of `variance`.
        residual: pooled residual variance of one cell (within plots, where there are plots); NaN without freedom.
        residual_freedom: its degrees of freedom.
        unequal: whether settings were given variances of their own.
        blocks: how many rows have a value.
    """

    means: Floats
    variance: Floats
    freedom: Floats
    residual: float
    residual_freedom: int
    unequal: bool
    blocks: int


def incidence(labels: NDArray[np.int64]) -> Floats:
    """(N, groups): 1 where an observation belongs to a group; groups in the order of their labels."""
    _, group = np.unique(labels, return_inverse=True)
    members: Floats = np.eye(int(group.max()) + 1)[group]
    return members


def pieces(settings: NDArray[np.int64], blocks: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """(C,): a number for each set of settings that are connected through blocks. Others cannot be compared."""
    together = incidence(blocks).T @ np.eye(count)[settings] > 0  # (B, C)
    piece = np.arange(count)
    for _ in range(count):
        before = piece.copy()
        for row in together:
            piece[row] = piece[row].min()
        if (piece == before).all():
            break
    return piece


def adjusted(settings: NDArray[np.int64], blocks: NDArray[np.int64], count: int, weights: Floats | None) -> Floats:
    """(C, N): what makes the settings' means of the observations; the effects of connected blocks sum to 0.

    Args:
        settings: (N,) columns.
        blocks: (N,) labels.
        count: C.
        weights: (N, N), multiplies observations so that their errors are uncorrelated; None = they are.
    """
    piece, design = pieces(settings, blocks, count), [np.eye(count)[settings]]
    for one in np.unique(piece):
        inside = piece[settings] == one
        members = incidence(np.where(inside, blocks, -1))[:, int(not inside.all()) :]
        if members.shape[1] > 1:
            design.append(members[:, 1:] - members[:, :1])
    whole = np.hstack(design)
    if weights is None:
        weights = np.eye(len(whole))
    means: Floats = np.linalg.pinv(weights @ whole, rcond=1e-9)[:count] @ weights
    return means


def residual_maker(*incidences: Floats) -> Floats:
    """(N, N): makes residuals of observations after least squares on all the groups."""
    whole = np.hstack(incidences)  # not of full rank: what is 0 but for rounding is cut off
    maker: Floats = np.eye(len(whole)) - whole @ np.linalg.pinv(whole, rcond=1e-9)
    return maker


@dataclass(frozen=True, eq=False)
class Layout:
    """What a design (which cells have a value) says before any value is known; made once for each design."""

    settings: NDArray[np.int64]
    blocks: NDArray[np.int64]
    piece: NDArray[np.int64]
    means: Floats  # (C, N), one error
    residuals: Floats  # (N, N), of the error within plots
    freedom: int
    mixing: Floats  # (C, C): expected sums of squares of each setting's residuals, by the settings' variances
    shares: Floats  # (C,): expected sums of squares where all variances are 1
    cells: Floats | None  # (N, whole plots) incidence; None = no plots
    between: Floats | None  # (N, N), residuals with plots left in the error
    between_freedom: int
    plot_size: float  # how often the variance of whole plots is in their mean square


@lru_cache(maxsize=32)
def layout(shape: tuple[int, int], there: bytes, plots: tuple[int, ...] | None) -> Layout:
    """Of the cells that have a value: `there` is a boolean mask of that shape, `plots` a number for each column."""
    blocks, settings = np.nonzero(np.frombuffer(there, dtype=bool).reshape(shape))
    count = shape[1]
    cells = between = None
    between_freedom, plot_size = 0, 1.0
    of_setting = np.eye(count)[settings]
    if plots is not None and len(set(plots)) > 1:
        cell = blocks * count + np.asarray(plots)[settings]
        cells = incidence(cell)
        within, between = residual_maker(of_setting, cells), residual_maker(of_setting, incidence(blocks))
        freedom = round(float(np.trace(within)))
        between_freedom = round(float(np.trace(between))) - freedom
        if between_freedom == 0:  # one teacher of each kind: only what shares a teacher can be compared
            blocks, cells, between = cell, None, None
        elif freedom == 0:  # one setting a teacher: whole plots are all there is
            cells, between = None, None
        else:
            plot_size = float(np.trace(cells.T @ between @ cells)) / between_freedom
    residuals = within if cells is not None else residual_maker(of_setting, incidence(blocks))
    return Layout(
        settings=settings,
        blocks=blocks,
        piece=pieces(settings, blocks, count),
        means=adjusted(settings, blocks, count, None),
        residuals=residuals,
        freedom=round(float(np.trace(residuals))),
        mixing=of_setting.T @ residuals**2 @ of_setting,
        shares=of_setting.T @ np.diag(residuals),
        cells=cells,
        between=between,
        between_freedom=between_freedom,
        plot_size=plot_size,
    )


def prior_freedom(logs: Floats, freedom: Floats) -> float:
    """Degrees of freedom of the prior that variances are drawn from; inf where they clearly do not differ.

    Smyth, Linear models and empirical Bayes methods for assessing differential expression (2004), section 6.2: the
    variance of log s² is trigamma(d/2) + trigamma(d₀/2). A handful of settings says little about that variance, so its
    estimate is raised by `CAUTION` standard errors: what looks equal by luck is not taken to be so.

    Args:
        logs: log s² of each setting.
        freedom: d of each.
    """
    centred = logs - special.digamma(freedom / 2) + np.log(freedom / 2)
    raised = float(centred.var(ddof=1)) * (1 + CAUTION * math.sqrt(2 / (len(logs) - 1)))
    excess = raised - float(special.polygamma(1, freedom / 2).mean())
    if excess <= 0:
        return math.inf
    return 2 * float(optimize.brentq(lambda x: float(special.polygamma(1, x)) - excess, 1e-6, 1e9))


def variances_of_settings(found: Layout, squares: Floats, pooled: float) -> tuple[Floats, Floats, bool]:
    """The variance of one cell of each setting, its degrees of freedom, and whether they differ.

    Each setting's mean square of residuals is drawn towards the pooled one as far as chance can explain the difference
    (`prior_freedom`). Residuals of a setting have the errors of all others in them, a share of 1 / C: that is taken out
    by the expected squares (Grubbs 1948). A setting that stands out (F-test at 5 %, Bonferroni) is not drawn at all.
    What is below the pooled variance counts as the pooled one: too large an error costs power, too small a one would
    cost the confidence.

    Args:
        found: the layout.
        squares: (C,) sums of squared residuals.
        pooled: the pooled residual variance.
    """
    count = len(squares)
    variances, freedoms = np.full(count, pooled), np.full(count, float(found.freedom))
    some = found.shares > 1e-6
    if some.sum() < 3 or (squares[some] <= TINY * pooled).any():
        return variances, freedoms, False
    mixing = found.mixing[np.ix_(some, some)]
    freedom = found.shares[some] ** 2 / np.diag(mixing)
    raw = squares[some] / found.shares[some]
    prior = prior_freedom(np.log(raw), freedom)
    if math.isfinite(prior):
        shrunken = (prior * pooled + freedom * raw) / (prior + freedom)
        own = np.linalg.lstsq(mixing, shrunken * found.shares[some], rcond=1e-6)[0]
        variances[some] = np.maximum(own, pooled)
        freedoms[some] = np.minimum(prior + freedom, found.freedom)
    apart = np.zeros(count, dtype=bool)
    rest = found.freedom - freedom
    apart[some] = (rest > 0) & (stats.f.sf(raw / pooled, freedom, np.maximum(rest, 1e-3)) < 0.05 / some.sum())
    if apart.any():
        alone = np.zeros(count)
        alone[some] = np.linalg.lstsq(mixing, squares[some], rcond=1e-6)[0]
        variances[apart] = np.maximum(alone, variances)[apart]
        freedoms[apart] = freedom[apart[some]]
    return variances, freedoms, bool(math.isfinite(prior) or apart.any())


def whitening(cells: Floats, ratio: float) -> Floats:
    """(N, N): makes observations uncorrelated that share a whole plot; `ratio` is its variance by that of a cell."""
    sizes = cells.sum(axis=0)
    less = (1 - 1 / np.sqrt(1 + ratio * sizes)) / sizes
    whitener: Floats = np.eye(len(cells)) - (cells * less) @ cells.T
    return whitener


def fit(scores: Floats, plots: tuple[int, ...] | None) -> BlockFit:
    """Means and variances of all differences.

    With plots: errors within plots by the mean square of residuals within them, whole plots by Henderson's third method
    (in a balanced design the split-plot mean squares), means by generalised least squares, degrees of freedom after
    Satterthwaite (1946). The variance of whole plots counts as 0 where it comes out below.

    Args:
        scores: (B, C), NaN where a cell is empty; every column has a value.
        plots: (C,) the number of each column's plot; None = no plots.
    """
    there = ~np.isnan(scores)
    found = layout(scores.shape, there.tobytes(), plots)
    values = scores[there]
    values = values - values.mean()
    shift = float(scores[there].mean())
    count, weights = scores.shape[1], found.means
    blocks = int(there.any(axis=1).sum())
    apart = found.piece[:, None] != found.piece
    if found.freedom == 0:
        open_ = np.where(np.eye(count, dtype=bool), 0.0, np.inf)
        return BlockFit(weights @ values + shift, open_, np.ones_like(open_), math.nan, 0, False, blocks)
    residuals = found.residuals @ values
    total = float(residuals @ residuals)
    if total <= (1e-12 * max(1.0, abs(shift))) ** 2 * len(values):
        residuals, total = np.zeros_like(residuals), 0.0
    pooled = total / found.freedom
    of_setting = np.eye(count)[found.settings]
    variances, freedoms, unequal = variances_of_settings(found, of_setting.T @ residuals**2, pooled)
    mean_square = pooled
    if found.cells is not None and found.between is not None:
        left = found.between @ values
        mean_square = max(pooled, (float(left @ left) - total) / found.between_freedom)
        if mean_square > pooled:
            ratio = (mean_square - pooled) / found.plot_size / pooled if pooled > 0 else 1e9
            weights = adjusted(found.settings, found.blocks, count, whitening(found.cells, min(ratio, 1e9)))
    contrasts = weights[:, None] - weights  # (C, C, N)
    parts = (contrasts**2 @ of_setting) * variances  # (C, C, C): what each setting's error contributes
    variance = parts.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = variance**2 / (parts**2 / freedoms).sum(axis=-1) if unequal else np.full_like(variance, found.freedom)
        freedom = np.fmin(freedom, found.freedom)
        if found.cells is not None:
            plot = ((contrasts @ found.cells) ** 2).sum(axis=-1) / found.plot_size
            plot[plot < TINY] = 0.0
            inside = np.maximum(variance - plot * pooled, 0.0)
            variance = inside + plot * mean_square
            squares = inside**2 / freedom + (plot * mean_square) ** 2 / found.between_freedom
            freedom = np.where(plot > 0, np.fmin(variance**2 / squares, found.freedom + found.between_freedom), freedom)
    freedom = np.where(np.isfinite(freedom), freedom, found.freedom)
    variance = np.where(apart, np.inf, variance)
    np.fill_diagonal(variance, 0.0)
    return BlockFit(weights @ values + shift, variance, freedom, pooled, found.freedom, unequal, blocks)
