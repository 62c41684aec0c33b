"""What a teacher's soft targets become when the temperature rises, gathered in one pass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tosmooth.analysis.exact import host_of
from tosmooth.analysis.parts import in_parts

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
        """Add finite logits (N, K) with labels (N,) in [0, K).

        Each number is at most 1e-6 from what float64 gives, in nats and in shares.
        """
        if not len(labels):
            return
        device = host_of(logits.device)
        self._sums, self._rest = self._sums.to(device), self._rest.to(device)
        for values, own in in_parts(logits.detach().to(device), labels.to(device)):
            self._add(values, own)
        self._count += len(labels)

    def _add(self, values: Tensor, labels: Tensor) -> None:
        """Add logits (n, K), float32 or float64.

        Exponentials of the other classes are taken in float32, from the likeliest of them; with the labelled class,
        which may be e^100 times as likely, they meet as logarithms, in float64.
        """
        own = labels[:, None]
        others = values.scatter(1, own, -math.inf)
        top = others.amax(1, keepdim=True)
        below = (others - top).float().scatter_(1, own, torch.finfo(torch.float32).min)  # (n, K): 0 at the likeliest
        above = (values.gather(1, own).double() - top)[:, 0]  # (n,)
        for number, temperature in enumerate(self.temperatures):
            weights = (below / temperature).exp_()  # (n, K) in [0, 1], 0 at the label
            total = weights.sum(1)  # (n,), at least 1
            level = (weights * below).sum(1).double() / total / temperature  # the mean of the others' exponents
            log_total, target = total.double().log(), above / temperature
            log_all = torch.logaddexp(log_total, target)
            mass, rest = (target - log_all).exp(), (log_total - log_all).exp()
            entropy = mass * (log_all - target) + rest * (log_all - level)
            self._sums[number] += torch.stack([entropy.sum(), mass.sum()])
            if len(self._rest):
                self._rest[number].index_add_(0, labels, weights.div_(total[:, None]).double())

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
