"""The diffusion index, d′, errors on similar classes and stability as torchmetrics classes.

States are sums, so processes add up exactly. They live on CPU and CUDA devices; MPS lacks float64.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tosmooth.analysis.centroids import ClassCentroids
from tosmooth.analysis.confusions import errors_on
from tosmooth.analysis.diffusion import NORMALISATIONS, Normalisation, diffusion_index
from tosmooth.analysis.separation import ClassScatter, add_products, scatter_d_prime, separation_from
from tosmooth.analysis.stability import check_probabilities, stability_from
from tosmooth.errors import did_you_mean
from tosmooth.integrations.libraries import require

Metric = require("torchmetrics", "tosmooth[torchmetrics]").Metric


class _ClassSums(Metric):  # type: ignore[misc, valid-type]
    """Count, sum and sum of squares of every class, in float64.

    `ClassCentroids` keeps means and scatter, which need more than a sum to merge. From sums the scatter loses as many
    digits as the mean's square exceeds it; of float64's 16, float32 features leave at least 9.
    """

    full_state_update = False
    is_differentiable = False
    counts: Tensor
    sums: Tensor
    squares: Tensor

    def __init__(self, num_classes: int, num_features: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        empty = ClassCentroids(num_classes, num_features).state_dict()  # refuses sizes below 1
        self.num_classes, self.num_features = num_classes, num_features
        self.add_state("counts", empty["counts"], dist_reduce_fx="sum")  # (K,)
        self.add_state("sums", empty["means"], dist_reduce_fx="sum")  # (K, D)
        self.add_state("squares", empty["squares"], dist_reduce_fx="sum")  # (K,) Σ ‖x‖²

    def _add(self, values: Tensor, labels: Tensor) -> None:
        seen = ClassCentroids(self.num_classes, self.num_features)
        seen.to(self.counts.device)
        seen.update(values.to(self.counts.device), labels)
        counts, means, squares = (seen.state_dict()[name] for name in ("counts", "means", "squares"))
        self.counts = self.counts + counts
        self.sums = self.sums + means * counts[:, None]
        self.squares = self.squares + squares + means.square().sum(1) * counts

    def _seen(self) -> ClassCentroids:
        """What the state holds, as an accumulator."""
        means = self.sums / self.counts.clamp(min=1)[:, None]
        squares = (self.squares - means.square().sum(1) * self.counts).clamp(min=0)
        return ClassCentroids.from_state_dict({"counts": self.counts, "means": means, "squares": squares})


class DiffusionIndex(_ClassSums):
    """η of a student against a reference; see `tosmooth.diffusion_index`.

    ::

        eta = DiffusionIndex(10, 64, similar, reference=student_at_t1)
        eta.update(features, labels)  # batch by batch
        eta.compute()  # above 0: moved towards the classes of the mask

    Args:
        num_classes: K.
        num_features: D.
        mask: (K, K) boolean, row π: the classes in S(π).
        reference: centroids (K, D') of the student at T₀, or their accumulator. None = `keep_as_reference` is called
            when the student at T₀ has been seen.
        debias: distances freed of sampling noise; the reference must be an accumulator.
        normalisation: see `tosmooth.analysis.diffusion.relative_distances`.
        per_class: return η per class, (K,), rather than its mean over classes.
        kwargs: of `torchmetrics.Metric`.

    Raises:
        ValueError: sizes below 1, a mask that is not boolean (K, K), a reference of other classes, debiasing without
            an accumulator, or an unknown normalisation.
    """

    higher_is_better = False

    def __init__(
        self,
        num_classes: int,
        num_features: int,
        mask: Tensor,
        reference: Tensor | ClassCentroids | None = None,
        *,
        debias: bool = False,
        normalisation: Normalisation = "mean_distance",
        per_class: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, num_features, **kwargs)
        if normalisation not in NORMALISATIONS:
            raise ValueError(f"unknown normalisation {normalisation!r}; {did_you_mean(normalisation, NORMALISATIONS)}")
        self.debias, self.normalisation, self.per_class = debias, normalisation, per_class
        self.mask = mask
        # No buffer: `.half()` on the module that holds the metric would round it, and it is no part of a checkpoint.
        self.reference: ClassCentroids | Tensor | None = None
        if reference is not None:
            self.reference = _copy(reference)
        else:
            _checked_mask(mask, num_classes)
        if self.reference is not None:  # the function's own refusals, before any work
            self._index(ClassCentroids(num_classes, num_features))

    def update(self, features: Tensor, labels: Tensor) -> None:
        """Add features (N, D) with labels (N,) in [0, K); rows labelled −100 are skipped.

        Raises:
            ValueError: as `tosmooth.ClassCentroids.update`.
        """
        self._add(features, labels)

    def compute(self) -> Tensor:
        """The mean of η over classes, or η per class (K,), float64. NaN where there are no samples.

        Raises:
            ValueError: there is no reference.
        """
        index = self._index(self._seen())
        return index if self.per_class else torch.nanmean(index)

    def class_centroids(self) -> ClassCentroids:
        """Centroids of what all processes have seen since `reset`; all of them must call it."""
        with self.sync_context(should_sync=self.sync_on_compute):
            return self._seen()

    def keep_as_reference(self) -> None:
        """Take what all processes have seen as the reference from now on, and start anew; all of them must call it.

        Raises:
            ValueError: nothing was seen.
        """
        seen = self.class_centroids()
        if not seen.counts.any():
            raise ValueError("there is nothing to keep as the reference: update() has seen no samples")
        self.reference = seen
        self.reset()

    def _index(self, seen: ClassCentroids) -> Tensor:
        if self.reference is None:
            raise ValueError("η needs a reference: give reference=…, or call keep_as_reference() on the student at T₀")
        device = self.counts.device
        self.reference = _copy(self.reference, device)
        seen.to(device)
        return diffusion_index(self.reference, seen, self.mask, debias=self.debias, normalisation=self.normalisation)


class Separation(Metric):  # type: ignore[misc, valid-type]
    """d′: how far classes stand from those of the mask, in units of their spread; see `tosmooth.analysis.separation`.

    Args:
        num_classes: K.
        num_features: D; the state holds K · D² numbers.
        mask: (K, K) boolean, row π: the classes in S(π).
        kwargs: of `torchmetrics.Metric`.

    Raises:
        ValueError: sizes below 1, too large a state, or a mask that is not boolean (K, K).
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = True
    counts: Tensor
    sums: Tensor
    products: Tensor

    def __init__(self, num_classes: int, num_features: int, mask: Tensor, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        empty = ClassScatter(num_classes, num_features)
        self.mask = _checked_mask(mask, num_classes)
        self.add_state("counts", empty.counts, dist_reduce_fx="sum")  # (K,)
        self.add_state("sums", empty.sums, dist_reduce_fx="sum")  # (K, D)
        self.add_state("products", empty.products, dist_reduce_fx="sum")  # (K, D, D)

    def update(self, features: Tensor, labels: Tensor) -> None:
        """Add features (N, D) with labels (N,) in [0, K); rows labelled −100 are skipped."""
        add_products(self.counts, self.sums, self.products, features, labels)

    def compute(self) -> Tensor:
        """The mean of d′ over each set's classes and over classes, a float64 scalar; NaN where nothing is known."""
        found = separation_from(scatter_d_prime(self.counts, self.sums, self.products, self.mask), self.mask)
        return torch.tensor(found, dtype=torch.float64, device=self.counts.device)


class ErrorsOn(Metric):  # type: ignore[misc, valid-type]
    """The share of samples that are taken for a class of the mask, in percent; see `tosmooth.analysis.confusions`.

    Args:
        num_classes: K.
        mask: (K, K) boolean, row π: the classes in S(π).
        kwargs: of `torchmetrics.Metric`.

    Raises:
        ValueError: a mask that is not boolean (K, K).
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = False
    errors: Tensor
    count: Tensor

    def __init__(self, num_classes: int, mask: Tensor, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mask = _checked_mask(mask, num_classes)
        self.add_state("errors", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, predictions: Tensor, labels: Tensor) -> None:
        """Add predicted classes (N,), or logits or probabilities (N, K), with labels (N,); −100 is skipped."""
        predicted = predictions.argmax(1) if predictions.ndim == 2 else predictions
        counted = int((labels >= 0).sum())
        if counted:
            share = errors_on(predicted, labels, self.mask.to(labels.device))
            self.errors = self.errors + share / 100 * counted
            self.count = self.count + counted

    def compute(self) -> Tensor:
        """In [0, 100], a float64 scalar; NaN without samples."""
        return 100 * self.errors / self.count


class Stability(_ClassSums):
    """How alike a teacher's answers within a class are; see `tosmooth.stability`.

    Args:
        num_classes: K.
        kwargs: of `torchmetrics.Metric`.
    """

    higher_is_better = None

    def __init__(self, num_classes: int, **kwargs: Any) -> None:
        super().__init__(num_classes, num_classes, **kwargs)

    def update(self, probabilities: Tensor, labels: Tensor) -> None:
        """Add probabilities (N, K), each row summing to 1, with labels (N,); rows labelled −100 are skipped.

        Raises:
            ValueError: as `tosmooth.stability`.
        """
        check_probabilities(probabilities, labels)
        self._add(probabilities, labels)

    def compute(self) -> Tensor:
        """Stability in [0, 1], a float64 scalar.

        Raises:
            ValueError: there were no samples.
        """
        return torch.tensor(stability_from(self._seen()), dtype=torch.float64, device=self.counts.device)


def _checked_mask(mask: Tensor, classes: int) -> Tensor:
    if mask.shape != (classes, classes) or mask.dtype != torch.bool:
        raise ValueError(f"the mask must be boolean ({classes}, {classes}), got {mask.dtype} {tuple(mask.shape)}")
    return mask


def _copy(reference: ClassCentroids | Tensor, device: torch.device | None = None) -> ClassCentroids | Tensor:
    """A reference of one's own, on a device; nothing is copied where it is there."""
    if isinstance(reference, Tensor):
        return reference.detach().clone() if device is None else reference.to(device)
    found = ClassCentroids.from_state_dict(reference.state_dict()) if device is None else reference
    if device is not None:
        found.to(device)
    return found
