"""What the estimate of label smoothing needs of each sample, gathered in one pass: O(N) numbers, never the logits."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tosmooth.analysis.exact import host_of
from tosmooth.analysis.parts import all_finite, in_parts

Z95 = 1.959963984540054
_COLUMNS = (
    "correct", "margin", "spread", "mean", "gain", "scale", "binary_gain", "log_sum", "missing", "sigmoids", "doubt",
)  # fmt: skip


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval over samples."""

    value: float
    low: float
    high: float


class SmoothingStatistics:
    """Per-sample statistics of a teacher's logits, batch by batch.

    Args:
        num_classes: K, at least 2.

    Raises:
        ValueError: fewer than 2 classes.
    """

    def __init__(self, num_classes: int) -> None:
        if num_classes < 2:
            raise ValueError(f"a classifier has at least 2 classes, got {num_classes}")
        self.num_classes = num_classes
        self._parts: list[Tensor] = []
        self._probabilities = True  # so far, every row could be one of probabilities

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Add logits (N, K) and labels (N,) in [0, K).

        Raises:
            ValueError: shapes do not fit, labels are not whole numbers or outside the classes, a logit is not finite.
        """
        if logits.ndim != 2 or logits.shape[1] != self.num_classes or labels.shape != logits.shape[:1]:
            raise ValueError(
                f"logits {tuple(logits.shape)} and labels {tuple(labels.shape)} must be (N, {self.num_classes}) "
                "and (N,)"
            )
        if labels.is_floating_point() or labels.dtype == torch.bool:
            raise ValueError(f"labels must be integers, got {labels.dtype}")
        if not len(labels):
            return
        labels = labels.to(logits.device, torch.int64)
        if labels.min() < 0 or labels.max() >= self.num_classes:
            raise ValueError(
                f"labels must be in [0, {self.num_classes}); found {int(labels.min())} to {int(labels.max())}"
            )
        if not all_finite(logits):
            raise ValueError("logits hold NaN or infinite values")
        host = host_of(logits.device)
        logits, labels = logits.detach().to(host), labels.to(host)
        # Made before the parts: what is kept of each would lie between their large tensors, and hold their memory.
        found = torch.empty(len(labels), len(_COLUMNS), dtype=torch.float64)
        for values, own, rows in in_parts(logits, labels, found):
            self._add(values.double(), own, rows)
        self._parts.append(found.T.contiguous())

    def _add(self, values: Tensor, labels: Tensor, found: Tensor) -> None:
        """Write the statistics (n, columns) of float64 logits (n, K) with checked labels (n,)."""
        others = self.num_classes - 1
        target = values.gather(1, labels[:, None])[:, 0]
        total, log_sum = values.sum(1), values.logsumexp(1)
        mean, rest = total / self.num_classes, (total - target) / others
        deviations = (values - rest[:, None]).square_()
        variance = (deviations.sum(1) - (target - rest).square()).clamp(min=0) / max(1, others - 1)
        if self._probabilities:
            in_range = bool(((values >= 0) & (values <= 1)).all())
            self._probabilities = in_range and bool(((total - 1).abs() < 1e-3).all())
        largest, answers = values.max(1)
        sigmoids = values.sigmoid()
        columns = {
            "correct": (answers == labels).double(),
            "margin": target - rest,  # δ
            "spread": variance.sqrt(),  # of the other logits within a sample
            "mean": mean,
            "gain": target - (values - log_sum[:, None]).exp_().mul_(values).sum(1),
            "scale": target - mean,
            "log_sum": log_sum,
            "missing": -torch.expm1(target - log_sum),  # 1 − p_y
            "sigmoids": sigmoids.sum(1),
            "binary_gain": target - sigmoids.mul_(values).sum(1),
            "doubt": -torch.expm1(largest - log_sum),  # 1 − max p
        }
        found.copy_(torch.stack([columns[name] for name in _COLUMNS], 1))

    def column(self, name: str) -> Tensor:
        """One statistic of every sample, (N,) float64.

        Raises:
            ValueError: nothing was added, or probabilities instead of logits.
        """
        if not self._parts:
            raise ValueError("no samples to estimate label smoothing from")
        if self._probabilities:
            raise ValueError(
                "these are probabilities (rows between 0 and 1 that sum to 1), not logits; give the logits, or the "
                "logarithm of the probabilities"
            )
        if len(self._parts) > 1:
            self._parts = [torch.cat(self._parts, dim=1)]
        return self._parts[0][_COLUMNS.index(name)]

    @property
    def count(self) -> int:
        """Samples seen, N."""
        return sum(part.shape[1] for part in self._parts)

    @property
    def accuracy(self) -> float:
        """Top-1, in [0, 1]."""
        return float(self.column("correct").mean())

    @property
    def log_probabilities(self) -> bool:
        """Whether the logits are normalised (log-probabilities): then their level says nothing about the loss."""
        return float(self.column("log_sum").abs().max()) < 1e-3

    def moment(self) -> Estimate:
        """α̂ = Σ(z_y − ⟨p, z⟩) / Σ(z_y − z̄): the α for which T = 1 is optimal on these samples.

        At the optimum of the smoothed loss, scaling all logits does not lower it: ⟨y_α − p, z⟩ is 0 in the mean.
        """
        return _ratio(self.column("gain"), self.column("scale"))

    def binary_moment(self) -> Estimate:
        """The same for binary cross-entropy over the classes: Σ⟨y − σ(z), z⟩ / Σ⟨y − 1/K, z⟩."""
        return _ratio(self.column("binary_gain"), self.column("scale"))

    def median_margin(self) -> Estimate:
        """The median of δ over the samples that are classified correctly; NaN where none is."""
        margins = self._correct_margins()
        count = len(margins)
        if not count:
            return Estimate(math.nan, math.nan, math.nan)
        middle, half = count / 2, Z95 * math.sqrt(count) / 2
        ranks = (max(0, math.floor(middle - half)), min(count - 1, math.ceil(middle + half)))
        return Estimate(_quantile(margins, 0.5), *(float(margins[rank]) for rank in ranks))

    def softness(self) -> float:
        """K / ((K − 1) N) · Σ(1 − p_y): the α whose target mass is the teacher's, errors included; in [0, K/(K−1)]."""
        return float(self.column("missing").mean()) * self.num_classes / (self.num_classes - 1)

    def surest(self) -> float:
        """K / (K − 1) · the first percentile of 1 − max p: the α that the teacher's surest answers allow.

        At the optimum of the smoothed loss no probability is above 1 − α + α/K, right or wrong, fitted or not.
        """
        doubts = self.column("doubt").sort().values
        return _quantile(doubts, 0.01) * self.num_classes / (self.num_classes - 1)

    def spread_up(self) -> float:
        """(q95 − q50) / q50 of δ among the correct samples: an optimum of the smoothed loss has no long upper tail."""
        margins = self._correct_margins()
        middle = _quantile(margins, 0.5) if len(margins) else math.nan
        return (_quantile(margins, 0.95) - middle) / middle if middle > 0 else math.nan

    def unevenness(self) -> float:
        """Median over the correct samples of the other logits' standard deviation, over the median of δ.

        Smoothing asks for equal logits of all other classes; mixed images, noise and similar classes do not.
        """
        spread = self.column("spread")[self.column("correct") > 0]
        middle = self.median_margin().value
        return _quantile(spread.sort().values, 0.5) / middle if middle > 0 else math.nan

    def level(self) -> float:
        """Median of the mean logit over the median of δ: near 0 after a softmax loss with SGD, below after others."""
        middle = self.median_margin().value
        return float(self.column("mean").median()) / middle if middle > 0 else math.nan

    def sigmoids(self) -> float:
        """Mean over the samples of Σ_k σ(z_k): 1 where binary cross-entropy is stationary, as its targets sum to 1."""
        return float(self.column("sigmoids").mean())

    def _correct_margins(self) -> Tensor:
        """δ of the correct samples, sorted."""
        return self.column("margin")[self.column("correct") > 0].sort().values


def _quantile(values: Tensor, q: float) -> float:
    """By linear interpolation between sorted values (n,), n ≥ 1; torch's own refuses more than 16 million."""
    position = q * (len(values) - 1)
    below = math.floor(position)
    above = min(below + 1, len(values) - 1)
    return float(values[below] + (position - below) * (values[above] - values[below]))


def _ratio(numerator: Tensor, denominator: Tensor) -> Estimate:
    """Σ numerator / Σ denominator with its interval by the delta method; NaN where the denominator is not above 0."""
    total = float(denominator.sum())
    if total <= 0:
        return Estimate(math.nan, math.nan, math.nan)
    value = float(numerator.sum()) / total
    half = Z95 * float((numerator - value * denominator).square().sum().sqrt()) / total
    return Estimate(value, value - half, value + half)


def from_margin(margin: float, num_classes: int) -> float:
    """α = K / (K − 1 + e^δ): the smoothing whose optimum has the margin δ."""
    return num_classes / (num_classes - 1 + math.exp(min(margin, 700.0)))


def binary_from_margin(margin: float, num_classes: int) -> float:
    """The smoothing whose optimum under binary cross-entropy has the margin δ; in [0, 1].

    There the target's logit is logit(1 − α + α/K), the others' logit(α/K): δ falls with α.
    """
    low, high = -300.0, 0.0  # of log α
    for _ in range(200):
        middle = (low + high) / 2
        share = math.exp(middle) / num_classes
        target = 1 - math.exp(middle) + share
        at = math.log(target) - math.log1p(-target) if target < 1 else math.log(1 / ((num_classes - 1) * share))
        at -= math.log(share) - math.log1p(-share)
        low, high = (middle, high) if at > margin else (low, middle)
    return math.exp(low)
