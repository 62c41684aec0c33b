"""Accuracy, likelihood and calibration of a classifier in one pass."""

from __future__ import annotations

import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  the field's name for it
from torchmetrics.classification import MulticlassAccuracy, MulticlassCalibrationError

BINS = 15


class ClassificationMetrics:
    """Top-1, top-5, NLL and expected calibration error, accumulated batch by batch.

    Args:
        num_classes: K, at least 2. Top-5 is top-K where K < 5.
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self._top1 = MulticlassAccuracy(num_classes, average="micro")
        self._top5 = MulticlassAccuracy(num_classes, average="micro", top_k=min(5, num_classes))
        self._ece = MulticlassCalibrationError(num_classes, n_bins=BINS, norm="l1")
        self._nll_sum = torch.zeros((), dtype=torch.float64)
        self._bins = torch.zeros(3, BINS, dtype=torch.float64)  # count, summed confidence, correct
        self._count = 0

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Add logits (N, K) and labels (N,) in [0, K).

        Raises:
            ValueError: shapes do not fit.
        """
        if logits.ndim != 2 or logits.shape[1] != self.num_classes or labels.shape != logits.shape[:1]:
            raise ValueError(
                f"logits {tuple(logits.shape)} and labels {tuple(labels.shape)} must be (N, {self.num_classes}) and (N,)"
            )
        if not len(labels):
            return
        self._to(logits.device)
        values = logits.detach().float()
        probabilities = values.softmax(1)
        self._top1.update(values, labels)
        self._top5.update(values, labels)
        self._ece.update(probabilities, labels)
        self._nll_sum += F.cross_entropy(values, labels, reduction="sum")
        self._count += len(labels)
        confidence, prediction = probabilities.max(1)
        index = (confidence * BINS).long().clamp(max=BINS - 1)
        correct = (prediction == labels).double()
        self._bins.index_add_(1, index, torch.stack([torch.ones_like(correct), confidence.double(), correct]))

    def _to(self, device: torch.device) -> None:
        if self._bins.device != device:
            self._top1, self._top5, self._ece = (m.to(device) for m in (self._top1, self._top5, self._ece))
            self._nll_sum, self._bins = self._nll_sum.to(device), self._bins.to(device)

    def compute(self) -> dict[str, float]:
        """`top1` and `top5` in percent, `nll` in nats, `ece` in [0, 1] (15 equal bins).

        Raises:
            ValueError: nothing was added.
        """
        if not self._count:
            raise ValueError("no samples to compute metrics from")
        return {
            "top1": 100 * float(self._top1.compute()),
            "top5": 100 * float(self._top5.compute()),
            "nll": float(self._nll_sum) / self._count,
            "ece": float(self._ece.compute()),
        }

    def reliability(self) -> pd.DataFrame:
        """The reliability curve: one row per bin with `bin`, `confidence`, `accuracy` (both [0, 1], NaN if empty), `count`."""
        count, confidence, correct = self._bins.cpu()
        filled = count.masked_fill(count == 0, float("nan"))
        return pd.DataFrame(
            {
                "bin": range(BINS),
                "confidence": (confidence / filled).numpy(),
                "accuracy": (correct / filled).numpy(),
                "count": count.long().numpy(),
            }
        )
