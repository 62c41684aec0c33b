"""How far classes stand apart in units of their own spread: d′ (d-prime), the sensitivity index of signal detection.

    d′(a, b) = ‖c_a − c_b‖ / √((σ²_a + σ²_b) / 2),   σ²: variance of a class along the line that joins the two centroids

The diffusion index η looks at centroids alone. Where classes come nearer and shrink as much, nothing is harder to tell
apart, and d′ says so; where they stay and widen, η sees nothing, and d′ does (Green and Swets, 1966).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


class ClassSeparation:
    """d′ of pairs of classes in one streaming pass, after one that has found the centroids.

    Memory is O(K · (K + D)), never O(N · D).

    Args:
        centroids: (K, D), of the same samples; NaN for a class without any.
        pairs: (K, K) bool, which pairs are wanted; either order asks for both.

    Raises:
        ValueError: shapes do not fit.
    """

    def __init__(self, centroids: Tensor, pairs: Tensor) -> None:
        if centroids.ndim != 2 or pairs.shape != (len(centroids), len(centroids)):
            raise ValueError(
                f"centroids must be (K, D) and pairs (K, K), got {tuple(centroids.shape)} and {tuple(pairs.shape)}"
            )
        self._centroids = centroids.to(torch.float64)
        own = pairs.to(centroids.device)
        self._pairs = (own | own.T).fill_diagonal_(False)
        self._counts = torch.zeros(len(centroids), dtype=torch.float64, device=centroids.device)
        # Of projections (K, K): row a, column b holds those of class a onto the line to b.
        self._sums = torch.zeros(pairs.shape, dtype=torch.float64, device=centroids.device)
        self._squares = torch.zeros_like(self._sums)

    def update(self, features: Tensor, labels: Tensor) -> None:
        """Add features (N, D) with labels (N,) in [0, K); rows labelled −100 are skipped."""
        if features.device != self._centroids.device:  # on the host, as Apple's GPUs have no float64
            features, labels = features.to(self._centroids.device), labels.to(self._centroids.device)
        for label in torch.unique(labels).tolist():
            if label == -100:
                continue
            centre, others = self._centroids[label], self._pairs[label].nonzero()[:, 0]
            lines = self._centroids[others] - centre
            lines = lines / lines.norm(dim=1, keepdim=True)  # NaN between equal centroids: no line joins them
            own = features[labels == label].to(torch.float64) - centre
            along = own @ lines.T  # (n, M)
            self._counts[label] += len(own)
            self._sums[label, others] += along.sum(0)
            self._squares[label, others] += along.square().sum(0)

    def reduce(self, total: Callable[[Tensor], Tensor]) -> None:
        """Turn the parts that several processes have seen into the whole; `total` sums a tensor over all of them."""
        self._counts, self._sums, self._squares = (total(t) for t in (self._counts, self._sums, self._squares))

    def d_prime(self) -> Tensor:
        """(K, K) float64, symmetric; NaN for pairs that were not asked for, of a class with fewer than two samples, or
        without any spread."""
        counts = self._counts[:, None]
        variances = (self._squares - self._sums.square() / counts) / (counts - 1)
        variances = variances.clamp(min=0).masked_fill(counts < 2, float("nan"))
        pooled = (variances + variances.T) / 2
        known = self._pairs & (pooled > 0)
        distances = torch.cdist(self._centroids, self._centroids, compute_mode="donot_use_mm_for_euclid_dist")
        return (distances / pooled.sqrt()).masked_fill(~known, float("nan"))


def separation_from(d_prime: Tensor, classes: Tensor) -> float:
    """Mean d′ of every class to those of its set, and over classes.

    Args:
        d_prime: (K, K), from `ClassSeparation`.
        classes: (K, K) bool, row k: the set of class k, as `similar_classes` returns it.

    Returns:
        Above 0; the lower, the harder are classes to tell from those of their sets. NaN where nothing is known.
    """
    own = d_prime.masked_fill(~classes.to(d_prime.device), float("nan"))
    return float(own.nanmean(dim=1).nanmean())
