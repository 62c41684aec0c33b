"""The diffusion index η: how far classes have moved towards others when the temperature was raised.

η after Chandrasegaran et al. (ICML 2022), whose exact normalisation could not be consulted: **the definition is ours**.

    d_πk(T) = ‖c_π(T) − c_k(T)‖₂
    r_πk(T) = d_πk(T) / mean_{j≠π} d_πj(T)
    η_S(π; T) = 1 − mean_{k∈S} r_πk(T) / mean_{k∈S} r_πk(T₀)
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
    if isinstance(centroids, ClassCentroids):
        points = centroids.centroids
    else:
        points = centroids.to(torch.float64)
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
        normalisation: "mean_distance" (declared): the mean distance of π to all other classes; "within_spread": √tr W_π, needs
            an accumulator; "none".

    Raises:
        ValueError: an unknown normalisation, or one that needs an accumulator was asked for a tensor.
    """
    distances = centroid_distances(centroids, debias=debias)
    if normalisation == "none":
        return distances
    if normalisation == "within_spread":
        if not isinstance(centroids, ClassCentroids):
            raise ValueError("normalisation='within_spread' needs ClassCentroids, which hold the scatter; got a tensor")
        return distances / centroids.within_scatter.sqrt()[:, None]
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
        (K,) float64: above 0, π has moved towards S; 0, it has not moved; NaN where S(π) is empty or lacks samples.

    Raises:
        ValueError: class counts differ, or the mask is not boolean (K, K).
    """
    before = relative_distances(reference, debias=debias, normalisation=normalisation)
    after = relative_distances(raised, debias=debias, normalisation=normalisation)
    if before.shape != after.shape or mask.shape != before.shape or mask.dtype != torch.bool:
        raise ValueError(
            f"reference has {len(before)} classes, raised {len(after)}, and the mask is {tuple(mask.shape)} {mask.dtype}; "
            "all must agree on K, and the mask must be boolean"
        )
    chosen = mask.to(before.device) & ~torch.eye(len(before), dtype=torch.bool, device=before.device)
    # A class that either side has not seen is left out on both, so that the two means are over the same classes.
    chosen = chosen & ~torch.isnan(before) & ~torch.isnan(after)
    count = chosen.sum(1)
    mean_before = before.masked_fill(~chosen, 0).sum(1) / count
    mean_after = after.masked_fill(~chosen, 0).sum(1) / count
    return 1 - mean_after / mean_before
