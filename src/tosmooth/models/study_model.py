"""What a model of a study is, whatever its task: a backbone behind a door that the engine knows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn


class StudyModel(nn.Module, ABC):
    """A backbone with its name and the width of its logits.

    Args:
        backbone: the network; its state dict is what is saved, and opens in the library it came from.
        name: the name it was built by, for messages.
        num_classes: K, the width of the logits: classes, or tokens of the vocabulary.

    Attributes:
        notes: what to tell of the file that its weights came from; see `load_weights`.
    """

    notes: tuple[str, ...] = ()

    def __init__(self, backbone: nn.Module, name: str, num_classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.name = name
        self.num_classes = num_classes

    @abstractmethod
    def classify(self, prepared: Any) -> Tensor:
        """Logits (N, K) of a batch's samples, from inputs as this model wants them."""


class HiddenStateModel(StudyModel):
    """A model whose last layer can be left out: with many outputs, that layer is most of the work."""

    @abstractmethod
    def hidden(self, prepared: Any) -> Tensor:
        """Penultimate features (N, D): what enters the last layer."""

    @property
    @abstractmethod
    def last_layer(self) -> nn.Linear:
        """The linear layer that makes the logits: weight (K, D), and a bias (K,) or none."""
