"""Logits and penultimate features of a forward pass that somebody else makes."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from tosmooth.errors import ModelError
from tosmooth.models.image_model import logits_of
from tosmooth.models.last_layer import find_last_layer


class ForwardRecorder:
    """Hooks on a classifier and on its last linear layer; `PenultimateFeatures` is for passes of one's own.

    Args:
        model: a classifier of images (N, D) or of tokens (B, L, D).
        num_classes: K.
        layer: its last linear layer, where it is ambiguous.

    Raises:
        ModelError: no such layer, or an ambiguous one.
    """

    def __init__(self, model: nn.Module, num_classes: int, layer: str | None = None) -> None:
        self._name, last_layer = find_last_layer(model, num_classes, layer)
        self._pooled = isinstance(last_layer, nn.Conv2d)
        self._entering: list[Tensor] = []
        self._logits: list[Tensor] = []
        self._hooks = [
            last_layer.register_forward_hook(self._see_features, with_kwargs=True),
            model.register_forward_hook(self._see_logits),
        ]

    def take(self) -> tuple[Tensor, Tensor]:
        """Logits and features of the one pass since the last call, detached; they are forgotten here.

        Raises:
            ModelError: there was not one pass, or the layer did not run once in it.
        """
        logits, entering = self._logits[:], self._entering[:]
        self._logits.clear()
        self._entering.clear()
        if len(logits) != 1 or len(entering) != 1:
            raise ModelError(
                f"of one forward pass a batch, {len(logits)} were seen, and layer {self._name!r} ran {len(entering)} "
                "times; name the classifier (model=…) or its last linear layer (layer=…)"
            )
        features = entering[0]
        return logits[0], features.mean(dim=(2, 3)) if self._pooled and features.ndim == 4 else features

    def close(self) -> None:
        """Remove the hooks."""
        for hook in self._hooks:
            hook.remove()

    def _see_features(self, _: nn.Module, inputs: tuple[Any, ...], named_inputs: dict[str, Any], output: Any) -> None:
        self._entering.append((inputs[0] if inputs else named_inputs["input"]).detach())

    def _see_logits(self, _: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        self._logits.append(logits_of(output).detach())
