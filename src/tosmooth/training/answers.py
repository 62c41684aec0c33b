"""What a model answers to a batch: its logits, or what would become them, for a loss that works on both."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from torch import Tensor, nn


class Hidden(NamedTuple):
    """Logits that were not computed: `layer(features)`.

    Attributes:
        features: penultimate features (N, D).
        layer: the last layer, weight (K, D).
    """

    features: Tensor
    layer: nn.Linear


# Logits (N, K), or what makes them.
Answer: TypeAlias = Tensor | Hidden


def logits_of(answer: Answer) -> Tensor:
    """Logits (N, K), made now where they were not."""
    if isinstance(answer, Tensor):
        return answer
    logits: Tensor = answer.layer(answer.features)
    return logits
