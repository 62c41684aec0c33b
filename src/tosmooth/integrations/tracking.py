"""η, d′, errors on similar classes and calibration of a student while it trains, in any loop.

The diffusion index compares a student with a reference, and says nothing without it. Two are of use:

- the centroids of a student of the same teacher, distilled at T₀ = 1: then η is the one of the paper;
- "first", the first evaluation of this very student: then η is how far its classes have moved since, over training.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import Tensor, distributed, nn

from tosmooth.analysis.calibration import ClassificationMetrics
from tosmooth.analysis.centroids import ClassCentroids
from tosmooth.analysis.diffusion import diffusion_index
from tosmooth.analysis.separation import ClassScatter, separation_from
from tosmooth.integrations.batches import IGNORED, parts_of
from tosmooth.models.features import PenultimateFeatures

Reference = ClassCentroids | Tensor | Literal["first"]
SETS = ("s1", "s2")  # of similar and of dissimilar classes, in the order of the masks
OF_DIFFUSION = ("eta", "errors", "d_prime")  # how the names of its numbers begin
_Seen = tuple[ClassificationMetrics, ClassCentroids | None, ClassScatter | None, Tensor | None]


class TrainingTracker:
    """Accumulates an evaluation batch by batch, and says at its end what has become of the student.

    ::

        tracker = tosmooth.integrations.tracking.TrainingTracker(10, similar, dissimilar, reference=at_t1)
        for epoch in range(epochs):
            ...  # train
            numbers = tracker.evaluate(student, validation_loader)  # eta_s1, errors_s1, ece, nll, …

    Args:
        num_classes: K, at least 2.
        similar: mask (K, K), as `similar_classes` makes it of the unsmoothed teacher; None = no η, errors and d′.
        dissimilar: the mask of the other classes, from the same call.
        reference: what η compares with: centroids (K, D'), an accumulator of them, or "first".
        debias: distances freed of sampling noise; then the reference must be an accumulator or "first".
        separation: d′ as well. It keeps K · D² numbers of 8 bytes, and takes as many operations a sample.

    Attributes:
        reference_name: the reference in words, for logs: "given centroids", or "this student's first evaluation".

    Raises:
        ValueError: one mask without the other, masks that are not boolean (K, K), a reference that does not fit, or
            that is given without masks; `separation` without masks, or (when features come) of too many classes and
            features.
    """

    def __init__(
        self,
        num_classes: int,
        similar: Tensor | None = None,
        dissimilar: Tensor | None = None,
        *,
        reference: Reference = "first",
        debias: bool = False,
        separation: bool = False,
    ) -> None:
        self.num_classes, self.debias = num_classes, debias
        self.masks = _checked_masks(num_classes, similar, dissimilar)
        if separation and not self.masks:
            raise ValueError("separation=True needs the masks similar and dissimilar, or d′ is to no class")
        self.separation = separation
        self.reference = _checked_reference(reference, num_classes, debias=debias, masks=bool(self.masks))
        self.reference_name = "this student's first evaluation" if self.reference is None else "given centroids"
        self.reset()

    def reset(self) -> None:
        """Begin an evaluation: forget all batches. The reference stays."""
        self._metrics = ClassificationMetrics(self.num_classes)
        self._centroids: ClassCentroids | None = None
        self._scatter: ClassScatter | None = None
        self._confusions = torch.zeros(self.num_classes, self.num_classes, dtype=torch.long) if self.masks else None

    def update(self, logits: Tensor | None, features: Tensor | None, labels: Tensor) -> None:
        """Add a batch, as `PenultimateFeatures` gives it: ``tracker.update(*features_of(images), labels)``.

        Args:
            logits: (N, K) or (B, L, K); None = no accuracy and calibration.
            features: (N, D) or (B, L, D); None = no η.
            labels: (N,) or (B, L) in [0, K); those of −100 are left out.

        Raises:
            ValueError: shapes do not fit, a label is outside the classes, logits hold NaN, or a feature is not finite.
        """
        labels = labels.detach()
        for name, values in (("logits", logits), ("features", features)):
            if values is not None and values.shape[:-1] != labels.shape:
                raise ValueError(
                    f"{name} {tuple(values.shape)} and labels {tuple(labels.shape)} do not fit: one label a row"
                )
        labels = labels.reshape(-1)
        if features is not None:
            rows = features.detach().reshape(len(labels), features.shape[-1])
            if self._centroids is None:
                self._centroids = ClassCentroids(self.num_classes, rows.shape[1])
                if self.separation:
                    self._scatter = ClassScatter(self.num_classes, rows.shape[1])
            self._centroids.update(rows, labels)
            if self._scatter is not None:
                self._scatter.update(rows, labels)
        if logits is not None:
            kept = labels.to(logits.device) != IGNORED
            rows, own = logits.detach().reshape(len(labels), logits.shape[-1])[kept], labels.to(logits.device)[kept]
            self._metrics.update(rows, own)
            if self._confusions is not None:
                size = self.num_classes
                taken = torch.bincount(own * size + rows.argmax(1), minlength=size**2)
                self._confusions += taken.reshape(size, size).cpu()

    @property
    def centroids(self) -> ClassCentroids:
        """Of the features seen since `reset`, in this process: to be saved, or the reference of another student.

        Raises:
            ValueError: no features were given.
        """
        if self._centroids is None:
            raise ValueError("no features were given to update() since reset()")
        return self._centroids

    def compute(self) -> dict[str, float]:
        """End an evaluation.

        In several processes (an initialised default group of torch.distributed) every one must call it, and all get the
        numbers of all samples together.

        Returns:
            From logits `top1` and `top5` in percent, `nll` in nats, `ece` and `brier`, see `ClassificationMetrics`;
            with masks `errors_s1` and `errors_s2`, the percent of samples taken for a similar or a dissimilar class.
            From features, with masks, `eta_s1` and `eta_s2`, the means of η over classes, and `eta_difference`, one
            minus the other: above 0, the student has diffused towards its similar classes; with `separation` also
            `d_prime_s1` and `d_prime_s2`, how far classes stand from those: the lower, the harder to tell apart.

        Raises:
            ValueError: nothing was added.
        """
        metrics, centroids, scatter, confusions = self._of_all_processes()
        if not metrics.count and centroids is None:
            raise ValueError("nothing was given to update() since reset()")
        numbers = metrics.compute() if metrics.count else {}
        if confusions is not None and metrics.count:
            for name, mask in zip(SETS, self.masks, strict=True):
                wrong = confusions[mask.cpu() & ~torch.eye(self.num_classes, dtype=torch.bool)].sum()
                numbers[f"errors_{name}"] = 100 * float(wrong) / metrics.count
        if centroids is None or not self.masks:
            return numbers
        if scatter is not None:
            d_prime = scatter.d_prime(self.masks[0].cpu() | self.masks[1].cpu())
            for name, mask in zip(SETS, self.masks, strict=True):
                numbers[f"d_prime_{name}"] = separation_from(d_prime, mask)
        if self.reference is None:
            self.reference = ClassCentroids.from_state_dict(centroids.state_dict())
        s1, s2 = (
            float(torch.nanmean(diffusion_index(self.reference, centroids, mask, debias=self.debias)))
            for mask in self.masks
        )
        return {**numbers, "eta_s1": s1, "eta_s2": s2, "eta_difference": s1 - s2}

    def evaluate(self, model: nn.Module, batches: Iterable[Any], *, layer: str | None = None) -> dict[str, float]:
        """The whole evaluation: reset, one pass over the batches in eval mode, compute.

        Args:
            model: a classifier; it is left in the mode it was in.
            batches: of ``(inputs, labels)``, or dictionaries with `labels`; tensors are moved to the model's device.
            layer: its last linear layer, see `PenultimateFeatures`.

        Raises:
            ModelError: the last linear layer is not found.
            ValueError: as `update`; a batch without labels.
        """
        self.reset()
        device = next((p.device for p in model.parameters()), torch.device("cpu"))
        modes = {module: module.training for module in model.modules()}
        model.eval()
        try:
            with PenultimateFeatures(model, self.num_classes, layer) as features_of, torch.no_grad():
                for batch in batches:
                    inputs, named_inputs, labels = parts_of(batch, model)
                    if labels is None:
                        raise ValueError("a batch to evaluate on has no labels")
                    moved = [_to(value, device) for value in inputs]
                    logits, features = features_of(*moved, **{k: _to(v, device) for k, v in named_inputs.items()})
                    self.update(logits, features, labels.to(device))
        finally:
            for module, training in modes.items():
                module.training = training
        return self.compute()

    def _of_all_processes(self) -> _Seen:
        if not (distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1):
            return self._metrics, self._centroids, self._scatter, self._confusions
        if self._centroids is not None:
            self._centroids.to(torch.device("cpu"))
        parts: list[Any] = [None] * distributed.get_world_size()
        own = self._metrics.on_host(), self._centroids, self._scatter, self._confusions
        distributed.all_gather_object(parts, own)
        metrics, centroids, scatter = ClassificationMetrics(self.num_classes), None, None
        confusions = None if self._confusions is None else sum(part[3] for part in parts)
        for own_metrics, own_centroids, own_scatter, _ in parts:
            metrics.merge(own_metrics)
            if own_centroids is not None:
                if centroids is None:
                    centroids = ClassCentroids(self.num_classes, own_centroids.num_features)
                centroids.merge(own_centroids)
            if own_scatter is not None:
                scatter = scatter or ClassScatter(self.num_classes, own_scatter.sums.shape[1])
                scatter.merge(own_scatter)
        return metrics, centroids, scatter, confusions


def _to(value: Any, device: torch.device) -> Any:
    return value.to(device) if isinstance(value, Tensor) else value


def _checked_masks(classes: int, similar: Tensor | None, dissimilar: Tensor | None) -> tuple[Tensor, ...]:
    if similar is None and dissimilar is None:
        return ()
    if similar is None or dissimilar is None:
        raise ValueError("similar and dissimilar belong together: give both masks, or none for no η")
    for name, mask in (("similar", similar), ("dissimilar", dissimilar)):
        if mask.shape != (classes, classes) or mask.dtype != torch.bool:
            raise ValueError(
                f"the mask {name!r} must be boolean ({classes}, {classes}), got {mask.dtype} {tuple(mask.shape)}"
            )
    return similar, dissimilar


def _checked_reference(
    reference: Reference, classes: int, *, debias: bool, masks: bool
) -> ClassCentroids | Tensor | None:
    if isinstance(reference, str):
        if reference != "first":
            raise ValueError(f"reference must be centroids, ClassCentroids or 'first', got {reference!r}")
        return None
    if not masks:
        raise ValueError("a reference needs the masks similar and dissimilar, or nothing is compared with it")
    count = reference.num_classes if isinstance(reference, ClassCentroids) else len(reference)
    if count != classes:
        raise ValueError(f"the reference has {count} classes, expected {classes}")
    if debias and not isinstance(reference, ClassCentroids):
        raise ValueError("debias=True needs a reference of ClassCentroids, which hold counts and scatter; got a tensor")
    return reference
