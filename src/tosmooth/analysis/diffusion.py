"""The diffusion index η: how far classes have moved towards others when the temperature was raised.

η after Chandrasegaran et al. (ICML 2022), whose exact normalisation could not be consulted: **the definition is ours**.

    d_πk(T) = ‖c_π(T) − c_k(T)‖₂
    r_πk(T) = d_πk(T) / mean_{j≠π} d_πj(T)
    η_S(π; T) = 1 − mean_{k∈S} r_πk(T) / mean_{k∈S} r_πk(T₀)

Two cases that the formula leaves open: a pair of classes whose distance is unknown on either side (a class without
samples, or with a single one where scatter is needed) is left out of every mean on both sides, so that uniform scaling
still gives exactly 0; and a reference distance of 0 (all debiased distances clipped) gives NaN, not −∞.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from tosmooth.analysis.centroids import ClassCentroids
from tosmooth.analysis.exact import exact

Normalisation = Literal["mean_distance", "within_spread", "none"]
BLOCK = 2**23  # distances looked at together: 64 MB
FEW = 64  # classes up to which the plain form needs no more than some MB
CANCELLED = 1e-4  # share of ‖a‖² + ‖b‖² below which their difference has lost more than four of float64's 16 digits
NORMALISATIONS: tuple[Normalisation, ...] = ("mean_distance", "within_spread", "none")


def centroid_distances(centroids: Tensor | ClassCentroids, *, debias: bool = False) -> Tensor:
    """Euclidean distances between class centroids, (K, K) float64.

    Args:
        centroids: (K, D), or an accumulator.
        debias: subtract what sampling noise adds: d̂² = ‖c_π − c_k‖² − tr W_π/n_π − tr W_k/n_k, clipped at 0. Needs an
            accumulator, which knows the scatter W and the counts n.

    Raises:
        ValueError: debiasing is asked for a bare tensor.
    """
    return _distances(centroids, debias, slice(None))


def _distances(centroids: Tensor | ClassCentroids, debias: bool, rows: slice) -> Tensor:
    """Some rows of the distances, (R, K)."""
    points = centroids.centroids if isinstance(centroids, ClassCentroids) else exact(centroids)
    squared = _pairwise(points)[rows] if len(points) <= FEW else _by_product(points, rows)
    if not debias:
        return squared.sqrt()
    if not isinstance(centroids, ClassCentroids):
        raise ValueError("debias=True needs ClassCentroids, which hold counts and within-class scatter; got a tensor")
    noise = centroids.within_scatter / centroids.counts
    corrected = (squared - noise[rows, None] - noise[None, :]).clamp(min=0).sqrt()
    return corrected.masked_fill_(_diagonal(len(points), rows).to(corrected.device), 0)


def _diagonal(classes: int, rows: slice) -> Tensor:
    """Some rows of the (K, K) identity, boolean."""
    numbers = torch.arange(classes)
    return numbers[rows, None] == numbers[None, :]


def _pairwise(points: Tensor) -> Tensor:
    """Squared distances from all differences at once: (K, K, D) in memory."""
    return (points[:, None, :] - points[None, :, :]).square().sum(-1)


def _by_product(points: Tensor, rows: slice) -> Tensor:
    """Some rows of the same as ‖a‖² + ‖b‖² − 2 a·b, far faster; pairs where that cancels are done again."""
    points = points - points.nanmean(dim=0)
    norms = points.square().sum(-1)
    sums = norms[rows, None] + norms[None, :]
    squared = torch.addmm(sums, points[rows], points.T, alpha=-2)
    first, second = (squared < CANCELLED * sums).nonzero(as_tuple=True)
    for part in range(0, len(first), 4096):
        i, j = first[part : part + 4096], second[part : part + 4096]
        squared[i, j] = (points[rows][i] - points[j]).square().sum(-1)
    return squared


def relative_distances(
    centroids: Tensor | ClassCentroids, *, debias: bool = False, normalisation: Normalisation = "mean_distance"
) -> Tensor:
    """r_πk, (K, K) float64: row π's distances in the unit that makes students of different feature scale comparable.

    Args:
        centroids: (K, D) or an accumulator; classes without samples (NaN) are left out of the means.
        debias: see `centroid_distances`.
        normalisation: "mean_distance" (declared): the mean distance of π to all other classes; "within_spread":
            √tr W_π, needs an accumulator; "none".

    Raises:
        ValueError: an unknown normalisation, or one that needs an accumulator was asked for a tensor.
    """
    return relative_rows(centroids, slice(None), debias=debias, normalisation=normalisation)


def relative_rows(
    centroids: Tensor | ClassCentroids,
    rows: slice,
    *,
    debias: bool = False,
    normalisation: Normalisation = "mean_distance",
) -> Tensor:
    """Some rows of `relative_distances`, (R, K): with many classes, not all of them fit into memory."""
    return _in_units(_distances(centroids, debias, rows), centroids, normalisation, rows)


def _in_units(distances: Tensor, centroids: Tensor | ClassCentroids, normalisation: str, rows: slice) -> Tensor:
    """Rows of distances (R, K) in the unit of a normalisation; NaN distances are left out of the mean distance."""
    if normalisation == "none":
        return distances
    if normalisation == "within_spread":
        if not isinstance(centroids, ClassCentroids):
            raise ValueError("normalisation='within_spread' needs ClassCentroids, which hold the scatter; got a tensor")
        return distances / centroids.within_scatter.sqrt().to(distances.device)[rows, None]
    if normalisation != "mean_distance":
        raise ValueError(f"unknown normalisation {normalisation!r}; allowed: {', '.join(NORMALISATIONS)}")
    others = distances.masked_fill(_diagonal(distances.shape[1], rows).to(distances.device), float("nan"))
    return distances / others.nanmean(dim=1, keepdim=True)


def diffusion_index(
    reference: Tensor | ClassCentroids,
    raised: Tensor | ClassCentroids,
    mask: Tensor,
    *,
    debias: bool = False,
    normalisation: Normalisation = "mean_distance",
) -> Tensor:
    """η_S(π; T) of every class π.

    Args:
        reference: centroids (K, D) of the student at T₀, or their accumulator.
        raised: centroids (K, D') of the student at T; the feature widths may differ.
        mask: (K, K) boolean, row π: the classes in S(π). The diagonal does not count.
        debias: use distances freed of sampling noise; needs accumulators.
        normalisation: see `relative_distances`.

    Returns:
        (K,) float64: above 0, π has moved towards S; 0, it has not moved; NaN where S(π) is empty, lacks samples, or
        where the reference distance is 0.

    Raises:
        ValueError: class counts differ, the mask is not boolean (K, K), or accumulators are needed and were not given.
    """
    classes = reference.num_classes if isinstance(reference, ClassCentroids) else len(reference)
    others = raised.num_classes if isinstance(raised, ClassCentroids) else len(raised)
    if classes != others or mask.shape != (classes, classes) or mask.dtype != torch.bool:
        raise ValueError(
            f"reference has {classes} classes, raised {others}, and the mask is {tuple(mask.shape)} {mask.dtype}; all "
            "must agree on K, and the mask must be boolean"
        )
    size = max(1, BLOCK // classes)
    blocks = (slice(start, start + size) for start in range(0, classes, size))
    return torch.cat([_index_of(reference, raised, mask, debias, normalisation, rows) for rows in blocks])


def _index_of(
    reference: Tensor | ClassCentroids,
    raised: Tensor | ClassCentroids,
    mask: Tensor,
    debias: bool,
    normalisation: str,
    rows: slice,
) -> Tensor:
    """η of some classes, (R,): no class needs the distances between two others."""
    before = _distances(reference, debias, rows)
    after = _distances(raised, debias, rows).to(before.device)
    # Before the normalisation: its mean too must be over the same classes on both sides.
    unknown = before.isnan() | after.isnan()
    before = _in_units(before.masked_fill(unknown, float("nan")), reference, normalisation, rows)
    after = _in_units(after.masked_fill(unknown, float("nan")), raised, normalisation, rows)
    chosen = mask[rows].to(before.device) & ~_diagonal(mask.shape[1], rows).to(before.device)
    chosen = chosen & ~before.isnan() & ~after.isnan()
    count = chosen.sum(1)
    mean_before = before.masked_fill(~chosen, 0).sum(1) / count
    mean_after = after.masked_fill(~chosen, 0).sum(1) / count
    return 1 - mean_after / mean_before.masked_fill(mean_before == 0, float("nan"))
