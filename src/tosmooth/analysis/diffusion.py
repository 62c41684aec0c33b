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

Normalisation = Literal["mean_distance", "within_spread", "none"]
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
    points = centroids.centroids if isinstance(centroids, ClassCentroids) else centroids.to(torch.float64)
    squared = (points[:, None, :] - points[None, :, :]).square().sum(-1) if len(points) <= 64 else _blockwise(points)
    if not debias:
        return squared.sqrt()
    if not isinstance(centroids, ClassCentroids):
        raise ValueError("debias=True needs ClassCentroids, which hold counts and within-class scatter; got a tensor")
    noise = centroids.within_scatter / centroids.counts
    corrected = (squared - noise[:, None] - noise[None, :]).clamp(min=0).sqrt()
    return corrected.fill_diagonal_(0)


def _blockwise(points: Tensor) -> Tensor:
    """Squared distances row by row: (K, D) memory at a time, and exact where the matrix-product shortcut cancels."""
    return torch.stack([(points - point).square().sum(-1) for point in points])


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
    return _in_units(centroid_distances(centroids, debias=debias), centroids, normalisation)


def _in_units(distances: Tensor, centroids: Tensor | ClassCentroids, normalisation: str) -> Tensor:
    """Distances (K, K) in the unit of a normalisation; NaN distances are left out of the mean distance."""
    if normalisation == "none":
        return distances
    if normalisation == "within_spread":
        if not isinstance(centroids, ClassCentroids):
            raise ValueError("normalisation='within_spread' needs ClassCentroids, which hold the scatter; got a tensor")
        return distances / centroids.within_scatter.sqrt().to(distances.device)[:, None]
    if normalisation != "mean_distance":
        raise ValueError(f"unknown normalisation {normalisation!r}; allowed: {', '.join(NORMALISATIONS)}")
    others = distances.clone().fill_diagonal_(float("nan"))
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
    before = centroid_distances(reference, debias=debias)
    after = centroid_distances(raised, debias=debias).to(before.device)
    if before.shape != after.shape or mask.shape != before.shape or mask.dtype != torch.bool:
        raise ValueError(
            f"reference has {len(before)} classes, raised {len(after)}, and the mask is {tuple(mask.shape)} "
            f"{mask.dtype}; all must agree on K, and the mask must be boolean"
        )
    # Before the normalisation: its mean too must be over the same classes on both sides.
    unknown = before.isnan() | after.isnan()
    before = _in_units(before.masked_fill(unknown, float("nan")), reference, normalisation)
    after = _in_units(after.masked_fill(unknown, float("nan")), raised, normalisation)
    chosen = mask.to(before.device) & ~torch.eye(len(before), dtype=torch.bool, device=before.device)
    chosen = chosen & ~before.isnan() & ~after.isnan()
    count = chosen.sum(1)
    mean_before = before.masked_fill(~chosen, 0).sum(1) / count
    mean_after = after.masked_fill(~chosen, 0).sum(1) / count
    return 1 - mean_after / mean_before.masked_fill(mean_before == 0, float("nan"))
