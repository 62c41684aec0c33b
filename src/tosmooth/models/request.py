"""What a source of models is asked to build."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tosmooth.errors import ModelError


@dataclass(frozen=True)
class BuildRequest:
    """One model to build.

    Args:
        num_classes: K, the width of the last layer.
        channels: of the data's images, 1 or 3.
        pretrained: start from the library's weights, with a new head where its class count is not K.
        width: channel multiplier; only the CIFAR-style ResNets have one.
        kwargs: further arguments of the model's constructor.
    """

    num_classes: int
    channels: int = 3
    pretrained: bool = False
    width: float | None = None
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def refuse(self, name: str, forbidden: Mapping[str, str], *, width: str | None = None) -> None:
        """Raise a ModelError for arguments that must not reach a library's constructor.

        Args:
            name: the model, for the message.
            forbidden: argument → what to use instead.
            width: what to use instead of `width`; None where the source takes a width.
        """
        for argument in self.kwargs:
            if argument in forbidden:
                raise ModelError(f"{name}: kwargs must not hold {argument!r}; {forbidden[argument]}")
        if width is not None and self.width is not None:
            raise ModelError(f"{name}: width belongs to the CIFAR-style ResNets (resnet8 … resnet110); {width}")
