"""Class centroids of features in one streaming pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from tosmooth.analysis.exact import host_of
from tosmooth.analysis.parts import all_finite, in_parts


class ClassCentroids:
    """Count, mean and within-class scatter of every class, accumulated batch by batch in float64.

    Memory is O(K · D), never O(N · D). Parts (of a data set, or of several processes) merge exactly: the update is the
    pairwise form of Chan, Golub and LeVeque (1979), which stays accurate where the mean is large against the spread.

    Args:
        num_classes: K.
        num_features: D.

    Raises:
        ValueError: K or D is below 1.
    """

    def __init__(self, num_classes: int, num_features: int) -> None:
        if num_classes < 1 or num_features < 1:
            raise ValueError(f"need at least one class and one feature, got {num_classes} and {num_features}")
        self.num_classes = num_classes
        self.num_features = num_features
        self._counts = torch.zeros(num_classes, dtype=torch.float64)
        self._means = torch.zeros(num_classes, num_features, dtype=torch.float64)
        self._squares = torch.zeros(num_classes, dtype=torch.float64)  # Σ ‖x − mean‖² of each class

    def update(self, features: Tensor, labels: Tensor) -> None:
        """Add features (N, D) with labels (N,) in [0, K); rows labelled −100 are skipped, whatever they hold.

        Raises:
            ValueError: shapes do not fit, a label is outside the classes, or a feature is not finite. Then nothing was
                added.
        """
        if features.ndim != 2 or features.shape[1] != self.num_features or labels.shape != features.shape[:1]:
            raise ValueError(
                f"features {tuple(features.shape)} and labels {tuple(labels.shape)} must be (N, {self.num_features}) "
                "and (N,)"
            )
        if labels.is_floating_point():
            raise ValueError(f"labels must be integers, got {labels.dtype}")
        labels = labels.to(features.device)
        kept = labels != -100
        values, classes = features.detach()[kept], labels[kept].to(torch.int64)
        if not len(classes):
            return
        if classes.min() < 0 or classes.max() >= self.num_classes:
            raise ValueError(
                f"labels must be in [0, {self.num_classes}); found {int(classes.min())} to {int(classes.max())}"
            )
        if not all_finite(values):
            raise ValueError("features hold NaN or infinite values")
        host = host_of(values.device)
        values, classes = values.to(host), classes.to(host)
        self.to(host)
        for part, own in in_parts(values, classes):
            self._add(part.to(torch.float64), own)

    def _add(self, values: Tensor, classes: Tensor) -> None:
        """Add float64 values (n, D) with checked classes (n,). Only rows of classes that occur are touched: a batch
        may be smaller than K × D is."""
        present, position = torch.unique(classes, return_inverse=True)
        counts = torch.zeros_like(self._counts[present]).index_add_(0, position, torch.ones_like(values[:, 0]))
        sums = torch.zeros_like(self._means[present]).index_add_(0, position, values)
        means = sums / counts[:, None]
        squares = torch.zeros_like(counts).index_add_(0, position, (values - means[position]).square().sum(1))
        self._combine(counts, means, squares, present)

    def merge(self, other: ClassCentroids) -> None:
        """Add the samples another accumulator has seen.

        Raises:
            ValueError: it has another number of classes or features.
        """
        if (other.num_classes, other.num_features) != (self.num_classes, self.num_features):
            raise ValueError(
                f"cannot merge {other.num_classes} classes × {other.num_features} features into "
                f"{self.num_classes} × {self.num_features}"
            )
        device = self._counts.device
        self._combine(other._counts.to(device), other._means.to(device), other._squares.to(device))

    def reduce(self, total: Callable[[Tensor], Tensor]) -> None:
        """Turn the parts that several processes have seen into the whole, in every one of them.

        The same numbers as `merge` gives, in O(K · D) memory: means and scatter are taken about the common mean.

        Args:
            total: sums a tensor over all processes; each must call it.
        """
        counts = total(self._counts.clone())
        means = total(self._means * self._counts[:, None]) / counts.clamp(min=1)[:, None]
        shift = (self._means - means).square().sum(1) * self._counts
        self._squares = total(self._squares + shift)
        self._counts, self._means = counts, means

    def to(self, device: torch.device) -> None:
        """Move to a device."""
        self._counts, self._means, self._squares = (t.to(device) for t in (self._counts, self._means, self._squares))

    def _combine(self, counts: Tensor, means: Tensor, squares: Tensor, rows: Tensor | slice = slice(None)) -> None:
        """Add the samples that another has seen of the classes `rows`."""
        own_counts, own_means = self._counts[rows], self._means[rows]
        total = own_counts + counts
        share = counts / total.clamp(min=1)
        delta = means - own_means
        self._squares[rows] = self._squares[rows] + squares + delta.square().sum(1) * own_counts * share
        self._means[rows] = own_means + delta * share[:, None]
        self._counts[rows] = total

    @property
    def centroids(self) -> Tensor:
        """Mean feature of each class, (K, D) float64; NaN for a class without samples."""
        return self._means.masked_fill((self._counts == 0)[:, None], float("nan"))

    @property
    def counts(self) -> Tensor:
        """Samples of each class, (K,) int64."""
        return self._counts.to(torch.int64)

    @property
    def within_scatter(self) -> Tensor:
        """Trace of the unbiased within-class covariance, (K,) float64; NaN for a class with fewer than two samples."""
        scatter = self._squares / (self._counts - 1)
        return scatter.masked_fill(self._counts < 2, float("nan"))

    def state_dict(self) -> dict[str, Tensor]:
        """Everything needed to go on or to save: counts, means and sums of squares."""
        return {"counts": self._counts.clone(), "means": self._means.clone(), "squares": self._squares.clone()}

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor]) -> ClassCentroids:
        """An accumulator from what `state_dict` gave.

        Raises:
            ValueError: a tensor is missing, or the shapes do not belong together.
        """
        missing = {"counts", "means", "squares"} - set(state)
        if missing:
            raise ValueError(f"saved centroids lack {', '.join(sorted(missing))}; found {', '.join(sorted(state))}")
        counts, means, squares = (state[name].to(torch.float64, copy=True) for name in ("counts", "means", "squares"))
        if means.ndim != 2 or counts.shape != means.shape[:1] or squares.shape != means.shape[:1]:
            raise ValueError(
                f"saved centroids do not fit together: counts {tuple(counts.shape)}, means {tuple(means.shape)}, "
                f"squares {tuple(squares.shape)}; expected (K,), (K, D), (K,)"
            )
        found = cls(*means.shape)
        found._counts, found._means, found._squares = counts, means, squares
        return found
