"""Accuracy, likelihood and calibration of a classifier in one pass.

The expected calibration error is Guo et al.'s (ICML 2017): 15 equal bins of the top-1 confidence, the mean over samples
of |accuracy − confidence| of their bin.
"""

from __future__ import annotations

import pandas as pd
import torch
from torch import Tensor

from tosmooth.analysis.exact import host_of
from tosmooth.analysis.parts import in_parts
from tosmooth.analysis.selective import risk_coverage_area

BINS = 15
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
        self.num_classes = num_classes
        self._temperature = temperature
        # Of every sample: how sure the answer is, the same at the other temperature, and whether it is right.
        self._samples: list[tuple[Tensor, Tensor, Tensor]] = []
        self._sums = torch.zeros(3, dtype=torch.float64)  # NLL, Brier score, among the top five
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
        if not trusted:
            self._look_at(logits, labels)
        device = host_of(logits.device)
        self._to(device)
        values, labels = logits.detach().float().to(device), labels.to(device)
        # Made before the parts: what is kept of each would lie between their large tensors, and hold their memory.
        sureness, fitted = torch.empty(2, len(labels), device=device).unbind()
        right = torch.empty(len(labels), dtype=torch.bool, device=device)
        for part, *own in in_parts(values, labels, sureness, fitted, right):
            self._add(part, *own)
        self._samples.append((sureness, fitted, right))
        self._count += len(labels)

    def _add(self, values: Tensor, labels: Tensor, sureness: Tensor, at_temperature: Tensor, right: Tensor) -> None:
        """Add float32 logits (n, K) with checked labels (n,); the rest is written for each sample."""
        own, exact = labels[:, None], values.double()
        logs = exact.log_softmax(1)
        confidence, answers = logs.amax(1), values.argmax(1)  # of +∞ logits the first is NaN
        fitted = confidence if self._temperature is None else (exact / self._temperature).log_softmax(1).amax(1)
        top = values.topk(min(5, self.num_classes), dim=1).indices
        nll = -logs.gather(1, own).sum()
        brier = logs.exp().scatter_add(1, own, torch.full_like(logs[:, :1], -1)).square().sum()
        self._sums += torch.stack([nll, brier, (top == own).sum()])
        sureness.copy_(_sureness(confidence))
        at_temperature.copy_(_sureness(fitted))
        right.copy_(answers == labels)

    def _look_at(self, logits: Tensor, labels: Tensor) -> None:
        if labels.min() < 0 or labels.max() >= self.num_classes:
            raise ValueError(
                f"labels must be in [0, {self.num_classes}); found {int(labels.min())} to {int(labels.max())}"
            )
        if logits.amax().isnan():  # NaN is above all
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
        other._to(self._sums.device)
        self._samples = [*self._samples, *other._samples]
        self._sums = self._sums + other._sums
        self._count += other._count

    @property
    def count(self) -> int:
        """Samples seen."""
        return self._count

    def on_host(self) -> ClassificationMetrics:
        """This object, moved to the CPU, in few tensors."""
        if self._count:
            self._seen()
        self._to(torch.device("cpu"))
        return self

    def _to(self, device: torch.device) -> None:
        if self._sums.device != device:
            self._samples = [(a.to(device), b.to(device), c.to(device)) for a, b, c in self._samples]
            self._sums = self._sums.to(device)

    def compute(self) -> dict[str, float]:
        """`top1` and `top5` in percent, `nll` in nats, `ece` in [0, 1] (15 bins), `brier` in [0, 2].

        Raises:
            ValueError: nothing was added.
        """
        confidence, _, right = self._seen()
        nll, brier, among = self._sums.tolist()
        return {
            "top1": round(100 * int(right.sum()) / self._count, 4),
            "top5": round(100 * among / self._count, 4),
            "nll": nll / self._count,
            "ece": _calibration_error(confidence, right),
            "brier": brier / self._count,
        }

    def ece_fitted(self) -> float | None:
        """The calibration error in [0, 1] at the temperature that was given; None where none was."""
        if self._temperature is None or not self._count:
            return None
        _, fitted, right = self._seen()
        return _calibration_error(fitted, right)

    def risk_coverage_area(self) -> float:
        """AURC in [0, 1] of the top-1 confidence, see `selective.risk_coverage_area`.

        Raises:
            ValueError: nothing was added.
        """
        confidence, _, right = self._seen()
        return risk_coverage_area(confidence, right)

    def reliability(self) -> pd.DataFrame:
        """The reliability curve: a row per bin with `bin`, `confidence`, `accuracy` and `count`.

        Confidence and accuracy are means in [0, 1], NaN for an empty bin.
        """
        bins = torch.zeros(3, BINS, dtype=torch.float64)
        if self._count:
            confidence, _, right = self._seen()
            bins = _binned(confidence, right)
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

    def _seen(self) -> tuple[Tensor, Tensor, Tensor]:
        """Of every sample (N,): the confidence, the same at the other temperature, and whether it is right."""
        if not self._count:
            raise ValueError("no samples to compute metrics from")
        if len(self._samples) > 1:
            self._samples = [tuple(map(torch.cat, zip(*self._samples, strict=True)))]  # type: ignore[list-item]
        return self._samples[0]


def _sureness(log_probability: Tensor) -> Tensor:
    """Confidences (n,) float32, below 1: one of exactly 1 would be in a bin of its own, a 16th."""
    return log_probability.exp().float().clamp(max=BELOW_ONE)


def _binned(confidence: Tensor, right: Tensor) -> Tensor:
    """Of each bin the count, the sum of the confidences, and how many are right: (3, BINS) float64 on the CPU."""
    # What is NaN, of infinite logits, comes after all bins: it counts in the last one, and makes it NaN.
    index = (torch.bucketize(confidence.cpu(), torch.linspace(0, 1, BINS + 1), right=True) - 1).clamp(max=BINS - 1)
    rows = torch.stack([torch.ones_like(confidence), confidence, right]).double().cpu()
    return torch.zeros(3, BINS, dtype=torch.float64).index_add_(1, index, rows)


def _calibration_error(confidence: Tensor, right: Tensor) -> float:
    """The gap between confidence and accuracy of a bin, mean over samples."""
    count, sure, correct = _binned(confidence, right)
    return float((sure - correct).abs().sum() / count.sum())
