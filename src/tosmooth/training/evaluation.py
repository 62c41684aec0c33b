"""One pass over a split in eval mode: metrics, and class centroids from the same forward passes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from tosmooth.analysis.calibration import ClassificationMetrics
from tosmooth.analysis.centroids import ClassCentroids
from tosmooth.data.batches import Batches
from tosmooth.models.build import ImageModel
from tosmooth.models.features import PenultimateFeatures
from tosmooth.training.compute import Compute

# Our metric → its column for each split; calibration has a group of its own.
COLUMNS: Mapping[str, Mapping[str, str]] = {
    "val": {"top1": "val/top1", "top5": "val/top5", "nll": "val/nll", "ece": "cal/ece_val"},
    "test": {"top1": "test/top1", "top5": "test/top5", "nll": "test/nll", "ece": "cal/ece"},
}


@dataclass(frozen=True)
class Evaluation:
    """What one pass yields: the metrics by name, the metric object (for its reliability bins), and the centroids."""

    metrics: ClassificationMetrics
    centroids: ClassCentroids | None

    def columns(self, split: str) -> dict[str, float]:
        """The metrics under their column names of `split` ("val" or "test")."""
        values = self.metrics.compute()
        return {column: values[name] for name, column in COLUMNS[split].items()}


def evaluate(
    model: ImageModel, batches: Batches, compute: Compute, *, centroids: bool = False, layer: str | None = None
) -> Evaluation:
    """Metrics of a model on a split; with `centroids`, the class centroids of its penultimate features too.

    The model is put into eval mode and left there.
    """
    model.eval()
    metrics = ClassificationMetrics(model.num_classes)
    found: ClassCentroids | None = None
    reading = PenultimateFeatures(model, model.num_classes, layer) if centroids else nullcontext()
    with torch.no_grad(), reading as features_of:
        for batch in batches.epoch(0):
            images, labels = compute.put(batch)[:2]
            with compute.autocast():
                logits, features = (model(images), None) if features_of is None else features_of(images)
            metrics.update(logits.float(), labels)
            if features is not None:
                found = found or ClassCentroids(model.num_classes, features.shape[1])
                found.update(features.float(), labels)
    return Evaluation(metrics, found)


def features_of_classes(
    model: ImageModel, batches: Batches, compute: Compute, classes: tuple[int, ...], layer: str | None = None
) -> tuple[Tensor, Tensor]:
    """Penultimate features (N, D) and labels (N,) of the samples of some classes, on the CPU."""
    model.eval()
    kept_features, kept_labels = [], []
    wanted = torch.tensor(classes, device=compute.device)
    with torch.no_grad(), PenultimateFeatures(model, model.num_classes, layer) as features_of:
        for batch in batches.epoch(0):
            images, labels = compute.put(batch)[:2]
            chosen = torch.isin(labels, wanted)
            if not chosen.any():
                continue
            with compute.autocast():
                _, features = features_of(images[chosen])
            kept_features.append(features.float().cpu())
            kept_labels.append(labels[chosen].cpu())
    return torch.cat(kept_features), torch.cat(kept_labels)
