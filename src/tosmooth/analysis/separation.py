"""How far classes stand apart in units of their own spread: d′ (d-prime), the sensitivity index of signal detection.

    d′(a, b) = ‖c_a − c_b‖ / √((σ²_a + σ²_b) / 2),   σ²: variance of a class along the line that joins the two centroids

The diffusion index η looks at centroids alone. Where classes come nearer and shrink as much, nothing is harder to tell
apart, and d′ says so; where they stay and widen, η sees nothing, and d′ does (Green and Swets, 1966).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tosmooth.analysis.exact import exact

LARGEST_SCATTER = 2**27  # numbers, of 8 bytes: one GiB


class ClassScatter:
    """Counts, sums and outer products of every class, in one pass: d′ of any pairs afterwards.

    Memory is O(K · D²). Where that is too much, `ClassSeparation` does with O(K · (K + D)) and a second pass.

    Args:
        num_classes: K.
        num_features: D.

    Attributes:
        counts: (K,) float64.
        sums: (K, D) float64.
        products: (K, D, D) float64, Σ x xᵀ.

    Raises:
        ValueError: sizes below 1, or more than `LARGEST_SCATTER` products.
    """

    def __init__(self, num_classes: int, num_features: int) -> None:
        if num_classes < 1 or num_features < 1:
            raise ValueError(f"num_classes and num_features must be at least 1, got {num_classes} and {num_features}")
        if num_classes * num_features**2 > LARGEST_SCATTER:
            raise ValueError(
                f"the scatter of {num_classes} classes in {num_features} features has more than {LARGEST_SCATTER:,} "
                "numbers; tosmooth.analysis.separation.ClassSeparation takes a second pass instead"
            )
        self.counts = torch.zeros(num_classes, dtype=torch.float64)
        self.sums = torch.zeros(num_classes, num_features, dtype=torch.float64)
        self.products = torch.zeros(num_classes, num_features, num_features, dtype=torch.float64)

    def update(self, features: Tensor, labels: Tensor) -> None:
        """Add features (N, D) with labels (N,) in [0, K), on any device; rows labelled −100 are skipped."""
        add_products(self.counts, self.sums, self.products, features, labels)

    def merge(self, other: ClassScatter) -> None:
        """Add what another one, such as another process's, has seen."""
        self.counts, self.sums = self.counts + other.counts, self.sums + other.sums
        self.products = self.products + other.products

    def d_prime(self, pairs: Tensor) -> Tensor:
        """(K, K) float64, symmetric, as `ClassSeparation.d_prime`.

        Args:
            pairs: (K, K) bool, which pairs are wanted; either order asks for both.
        """
        return scatter_d_prime(self.counts, self.sums, self.products, pairs)


def scatter_d_prime(counts: Tensor, sums: Tensor, products: Tensor, pairs: Tensor) -> Tensor:
    """d′ (K, K) of the wanted pairs (K, K) from the sums of a `ClassScatter`, on their device."""
    wanted = _either_way(pairs.to(counts.device))
    centroids = sums / counts[:, None]
    variances = torch.full_like(wanted, float("nan"), dtype=torch.float64)
    for label in (counts >= 2).nonzero()[:, 0].tolist():
        others = wanted[label].nonzero()[:, 0]
        lines = _lines(centroids[label], centroids[others])
        spread = products[label] / counts[label] - torch.outer(centroids[label], centroids[label])
        unbiased = counts[label] / (counts[label] - 1)
        variances[label, others] = unbiased * ((lines @ spread) * lines).sum(1)
    return _d_prime(centroids, wanted, variances)


def add_products(counts: Tensor, sums: Tensor, products: Tensor, features: Tensor, labels: Tensor) -> None:
    """Add features (N, D) with labels (N,) to the sums of a `ClassScatter`, in place and on their device."""
    for label in torch.unique(labels).tolist():
        if label == -100:
            continue
        own = exact(features[labels == label].detach()).to(counts.device)
        counts[label] += len(own)
        sums[label] += own.sum(0)
        products[label] += own.T @ own


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
        self._centroids = centroids = exact(centroids)
        self._pairs = _either_way(pairs.to(centroids.device))
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
            lines = _lines(centre, self._centroids[others])
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
        return _d_prime(self._centroids, self._pairs, variances.masked_fill(counts < 2, float("nan")))


def _either_way(pairs: Tensor) -> Tensor:
    wanted: Tensor = (pairs | pairs.T).fill_diagonal_(False)
    return wanted


def _lines(centre: Tensor, others: Tensor) -> Tensor:
    """Unit vectors (M, D) from a centroid to others; NaN between equal ones: no line joins them."""
    lines = others - centre
    unit: Tensor = lines / lines.norm(dim=1, keepdim=True)
    return unit


def _d_prime(centroids: Tensor, pairs: Tensor, variances: Tensor) -> Tensor:
    """d′ from the variances (K, K) of each class (row) along the line to another one."""
    variances = variances.clamp(min=0)
    pooled = (variances + variances.T) / 2
    distances = torch.cdist(centroids, centroids, compute_mode="donot_use_mm_for_euclid_dist")
    return (distances / pooled.sqrt()).masked_fill(~(pairs & (pooled > 0)), float("nan"))


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
