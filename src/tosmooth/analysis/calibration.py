"""Accuracy, likelihood and calibration of a classifier in one pass.

The expected calibration error is Guo et al.'s (ICML 2017): 15 equal bins of the top-1 confidence, the mean over samples
of |accuracy − confidence| of their bin.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from tosmooth.analysis.exact import host_of
from tosmooth.analysis.selective import risk_coverage_area

BINS = 15
MOST_AT_ONCE = 2**24  # logits that are looked at at once
BELOW_ONE = 1 - 2**-24  # the largest float32 below 1


class ClassificationMetrics:
    """Top-1, top-5, NLL, Brier score and expected calibration error, accumulated batch by batch.

    The numbers are those of what this object has seen: nothing is gathered from other processes unless asked for
    (`merge`).

    Args:
        num_classes: K, at least 2. Top-5 is top-K where K < 5.
        temperature: by which logits are divided for a second calibration error; None: there is none.

    Raises:
        ValueError: fewer than 2 classes.
    """

    def __init__(self, num_classes: int, temperature: float | None = None) -> None:
        if num_classes < 2:
            raise ValueError(f"a classifier has at least 2 classes, got {num_classes}")
        # Imports a great deal that only those who evaluate should wait for.
        from torchmetrics.classification import MulticlassAccuracy, MulticlassCalibrationError

        self.num_classes = num_classes
        local: dict[str, Any] = {"sync_on_compute": False, "validate_args": False}  # `update` looks at what it is given
        self._top1 = MulticlassAccuracy(num_classes, average="micro", **local)
        self._top5 = MulticlassAccuracy(num_classes, average="micro", top_k=min(5, num_classes), **local)
        self._ece = MulticlassCalibrationError(num_classes, n_bins=BINS, norm="l1", **local)
        self._temperature = temperature
        self._ece_fitted = MulticlassCalibrationError(num_classes, n_bins=BINS, norm="l1", **local)
        self._sums = torch.zeros(2, dtype=torch.float64)  # NLL, Brier score
        self._count = 0

    def update(self, logits: Tensor, labels: Tensor, *, trusted: bool = False) -> None:
        """Add logits (N, K) and labels (N,) in [0, K).

        Args:
            logits: −∞ is an output that the model rules out.
            labels: of the same samples.
            trusted: whether the caller sees to it that labels are in range, and drops figures of logits that are NaN.
                They are not looked into then, and a GPU need not wait.

        Raises:
            ValueError: shapes do not fit, a label is outside the classes, or a logit is NaN.
        """
        if logits.ndim != 2 or logits.shape[1] != self.num_classes or labels.shape != logits.shape[:1]:
            raise ValueError(
                f"logits {tuple(logits.shape)} and labels {tuple(labels.shape)} must be (N, {self.num_classes}) "
                "and (N,)"
            )
        if not len(labels):
            return
        if len(labels) > 1 and logits.numel() > MOST_AT_ONCE:  # a vocabulary's logits in float64 would take gigabytes
            rows = max(1, MOST_AT_ONCE // self.num_classes)
            for part, own in zip(torch.split(logits, rows), torch.split(labels, rows), strict=True):
                self.update(part, own, trusted=trusted)
            return
        if not trusted:
            self._look_at(logits, labels)
        device = host_of(logits.device)
        self._to(device)
        values, labels = logits.detach().float().to(device), labels.to(device)
        # torchmetrics puts a confidence of exactly 1 into a bin of its own, a 16th, which inflates the error of very
        # confident models. The largest number below 1 belongs to the last bin.
        probabilities = values.softmax(1).clamp(max=BELOW_ONE)
        self._top1.update(values, labels)
        self._top5.update(values, labels)
        self._ece.update(probabilities, labels)
        if self._temperature is not None:
            self._ece_fitted.update((values / self._temperature).softmax(1).clamp(max=BELOW_ONE), labels)
        exact = values.double()
        brier = (exact.softmax(1) - F.one_hot(labels, self.num_classes)).square().sum()
        self._sums += torch.stack([F.cross_entropy(exact, labels, reduction="sum"), brier])
        self._count += len(labels)

    def _look_at(self, logits: Tensor, labels: Tensor) -> None:
        if labels.min() < 0 or labels.max() >= self.num_classes:
            raise ValueError(
                f"labels must be in [0, {self.num_classes}); found {int(labels.min())} to {int(labels.max())}"
            )
        if logits.isnan().any():
            raise ValueError("logits hold NaN")

    def merge(self, other: ClassificationMetrics) -> None:
        """Add the samples another accumulator has seen.

        Raises:
            ValueError: it has another number of classes, or another temperature.
        """
        if other.num_classes != self.num_classes:
            raise ValueError(f"cannot merge metrics of {other.num_classes} classes into those of {self.num_classes}")
        if other._temperature != self._temperature:
            raise ValueError(f"cannot merge metrics at T = {other._temperature} into those at {self._temperature}")
        if not other._count:
            return
        other._to(self._sums.device)
        for own, more in ((self._top1, other._top1), (self._top5, other._top5), (self._ece, other._ece)):
            own.merge_state(more)
        if self._temperature is not None:
            self._ece_fitted.merge_state(other._ece_fitted)
        self._sums = self._sums + other._sums
        self._count += other._count

    @property
    def count(self) -> int:
        """Samples seen."""
        return self._count

    def on_host(self) -> ClassificationMetrics:
        """This object, moved to the CPU."""
        self._to(torch.device("cpu"))
        return self

    def _to(self, device: torch.device) -> None:
        if self._sums.device != device:
            self._top1, self._top5, self._ece = (m.to(device) for m in (self._top1, self._top5, self._ece))
            self._ece_fitted = self._ece_fitted.to(device)
            self._sums = self._sums.to(device)

    def compute(self) -> dict[str, float]:
        """`top1` and `top5` in percent, `nll` in nats, `ece` in [0, 1] (15 bins), `brier` in [0, 2].

        Raises:
            ValueError: nothing was added.
        """
        if not self._count:
            raise ValueError("no samples to compute metrics from")
        return {
            "top1": round(100 * float(self._top1.compute()), 4),  # torchmetrics answers in float32: 70.13, not 70.1299…
            "top5": round(100 * float(self._top5.compute()), 4),
            "nll": float(self._sums[0]) / self._count,
            "ece": float(self._ece.compute()),
            "brier": float(self._sums[1]) / self._count,
        }

    def ece_fitted(self) -> float | None:
        """The calibration error in [0, 1] at the temperature that was given; None where none was."""
        return None if self._temperature is None or not self._count else float(self._ece_fitted.compute())

    def risk_coverage_area(self) -> float:
        """AURC in [0, 1] of the top-1 confidence, see `selective.risk_coverage_area`.

        Raises:
            ValueError: nothing was added.
        """
        if not self._count:
            raise ValueError("no samples to compute metrics from")
        return risk_coverage_area(torch.cat(self._ece.confidences), torch.cat(self._ece.accuracies))

    def reliability(self) -> pd.DataFrame:
        """The reliability curve: a row per bin with `bin`, `confidence`, `accuracy` and `count`.

        Confidence and accuracy are means in [0, 1], NaN for an empty bin.
        """
        bins = torch.zeros(3, BINS, dtype=torch.float64)  # count, summed confidence, correct
        if self._count:  # the calibration error has kept every sample's confidence, and whether it was right
            seen = torch.cat(self._ece.confidences).cpu()
            right = torch.cat(self._ece.accuracies).cpu().double()
            index = torch.bucketize(seen, torch.linspace(0, 1, BINS + 1), right=True) - 1  # as for the error itself
            bins.index_add_(1, index, torch.stack([torch.ones_like(right), seen.double(), right]))
        count, confidence, correct = bins
        filled = count.masked_fill(count == 0, float("nan"))
        return pd.DataFrame(
            {
                "bin": range(BINS),
                "confidence": (confidence / filled).numpy(),
                "accuracy": (correct / filled).numpy(),
                "count": count.long().numpy(),
            }
        )
