"""What a teacher's soft targets become when the temperature rises, gathered in one pass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tosmooth.analysis.exact import host_of

MOST_CLASSES = 4000  # beyond it, K × K sums for every T no longer fit; the shares of similar classes are left out


@dataclass(frozen=True)
class SoftTarget:
    """The soft targets at one temperature, means over the samples.

    Attributes:
        temperature: T.
        entropy: of the targets, in nats, at most log K.
        target_mass: probability of the labelled class.
        similar_share: of the mass off the labelled class, the part on similar classes; NaN where not known.
    """

    temperature: float
    entropy: float
    target_mass: float
    similar_share: float


class SoftTargets:
    """Entropy, target mass and the distribution of the rest at several temperatures, batch by batch.

    Args:
        num_classes: K, at least 2.
        temperatures: each above 0 and finite.

    Raises:
        ValueError: a temperature is not above 0, or there is none.
    """

    def __init__(self, num_classes: int, temperatures: Sequence[float]) -> None:
        if not temperatures or not all(0 < t < math.inf for t in temperatures):
            raise ValueError(f"temperatures must be finite and above 0, got {list(temperatures)}")
        self.temperatures = tuple(temperatures)
        self._sums = torch.zeros(len(temperatures), 2, dtype=torch.float64)  # entropy, target mass
        shape = (len(temperatures), num_classes, num_classes) if num_classes <= MOST_CLASSES else (0, 0, 0)
        self._rest = torch.zeros(shape, dtype=torch.float64)  # of each class, Σ p_k / (1 − p_y) over its samples
        self._count = 0

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Add finite logits (N, K) with labels (N,) in [0, K)."""
        if not len(labels):
            return
        device = host_of(logits.device)
        self._sums, self._rest = self._sums.to(device), self._rest.to(device)
        values, labels = logits.detach().to(device).double(), labels.to(device)
        others = values.scatter(1, labels[:, None], -math.inf)
        for number, temperature in enumerate(self.temperatures):
            logs = (values / temperature).log_softmax(1)
            probabilities = logs.exp()
            self._sums[number, 0] -= (probabilities * logs).sum()
            self._sums[number, 1] += probabilities.gather(1, labels[:, None]).sum()
            if len(self._rest):
                self._rest[number].index_add_(0, labels, (others / temperature).softmax(1))
        self._count += len(labels)

    def compute(self, similar: Tensor | None = None) -> list[SoftTarget]:
        """The means, one entry a temperature.

        Args:
            similar: (K, K) boolean, row π: the classes similar to π. The share is the mean over the samples of classes
                that have any.

        Raises:
            ValueError: nothing was added.
        """
        if not self._count:
            raise ValueError("no samples to describe soft targets of")
        entropies, masses = (self._sums / self._count).T.tolist()
        shares = [math.nan] * len(self.temperatures)
        if similar is not None and len(self._rest):
            mask = similar.to(self._rest.device)
            rows = mask.any(1)
            samples = self._rest[0][rows].sum()
            if samples > 0:
                shares = [float((rest * mask)[rows].sum() / samples) for rest in self._rest]
        return [SoftTarget(*row) for row in zip(self.temperatures, entropies, masses, shares, strict=True)]
