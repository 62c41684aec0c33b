"""Penultimate features of any classifier: a hook on its last linear layer, registered once."""

from __future__ import annotations

import weakref
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from tosmooth.errors import ModelError
from tosmooth.models.image_model import logits_of
from tosmooth.models.last_layer import LinearLayer, find_last_layer, is_linear, width

_Seen = list[tuple[Tensor, Tensor]]  # (input, output) of the last layer, one entry each time it ran


class PenultimateFeatures:
    """Context manager and callable: inputs → (logits (N, K), features (N, D)).

    The features are what enters the last linear layer, so that W·features + b are the logits. For a convolutional head
    they are the spatial mean of its input, and W·features need not equal the logits. The model's train or eval mode and
    the gradient mode are the caller's; the hook is registered once and removed on exit.

    ::

        with PenultimateFeatures(model.eval()) as features_of, torch.no_grad():
            logits, features = features_of(images)

    Args:
        model: an `ImageModel`, or any timm, torchvision or Hugging Face classifier.
        num_classes: K; None asks the model.
        layer: name of the last linear layer, where it is ambiguous. Then it is not checked that its output is the
            model's.

    Attributes:
        last_layer: the module, with weight (K, D) or (K, D, 1, 1).
        layer_name: its name.

    Raises:
        ModelError: no such layer, or an ambiguous one; when called: the layer did not run exactly once, its input is
            not (N, D), or its output is not the model's.
    """

    def __init__(self, model: nn.Module, num_classes: int | None = None, layer: str | None = None) -> None:
        self.model = model
        self.layer_name, self.last_layer = find_last_layer(model, num_classes, layer)
        self._trusted = layer is not None
        self._seen: _Seen = []
        self._register()

    def _register(self) -> None:
        handle = _watch(self.last_layer, self._seen)
        # Also when the object is dropped without a with-statement: a model must not keep a hook nobody listens to.
        self._remove = weakref.finalize(self, handle.remove)

    def __enter__(self) -> PenultimateFeatures:
        if not self._remove.alive:
            self._register()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the hook. Entering the object again registers it again."""
        self._remove()

    def __call__(self, *inputs: Any, **named_inputs: Any) -> tuple[Tensor, Tensor]:
        """Logits (N, K) and features (N, D) of one batch, in the types the model computes in."""
        if not self._remove.alive:
            raise ModelError("PenultimateFeatures was closed: its hook is gone; use it inside its with-statement")
        self._seen.clear()
        try:
            logits = logits_of(self.model(*inputs, **named_inputs))
            if len(self._seen) != 1:
                raise ModelError(
                    f"layer {self.layer_name!r} ran {len(self._seen)} times in one forward pass, must run once; "
                    f"name the last linear layer with last_layer (layer=…)"
                )
            entering, leaving = self._seen[0]
        finally:
            self._seen.clear()  # hold no activations (and no graph) between batches
        features = self._features(entering)
        if not self._trusted:
            self._check_output(logits, leaving)
            self._trusted = True
        return logits, features

    def _features(self, entering: Tensor) -> Tensor:
        if isinstance(self.last_layer, nn.Conv2d) and entering.ndim == 4:
            return entering.mean(dim=(2, 3))
        if entering.ndim != 2:
            raise ModelError(
                f"layer {self.layer_name!r} takes an input of shape {tuple(entering.shape)}; penultimate features of "
                f"an image classifier are (N, D). Name the last linear layer with last_layer (layer=…)"
            )
        return entering

    def _check_output(self, logits: Tensor, leaving: Tensor) -> None:
        """Once: the layer found by its width must be the one that makes the logits."""
        if leaving.ndim != 2 and leaving.numel() != logits.numel():
            return  # a convolutional head whose output is pooled afterwards
        same = leaving.numel() == logits.numel() and torch.equal(
            torch.nan_to_num(leaving.detach().reshape(logits.shape)), torch.nan_to_num(logits.detach())
        )
        if not same:
            raise ModelError(
                f"the output of layer {self.layer_name!r} is not the model's output: another layer makes the logits, "
                f"or they are changed afterwards. Name the last linear layer with last_layer (layer=…); of that width: "
                f"{', '.join(self._of_same_width())}"
            )

    def _of_same_width(self) -> list[str]:
        count = width(self.last_layer)
        return [repr(n) for n, module in self.model.named_modules() if is_linear(module) and width(module) == count]


def _watch(layer: LinearLayer, seen: _Seen) -> RemovableHandle:
    # A function of its own: the hook must not hold the object whose end removes it.
    def hook(_: nn.Module, inputs: tuple[Any, ...], named_inputs: dict[str, Any], output: Tensor) -> None:
        seen.append((inputs[0] if inputs else named_inputs["input"], output))

    return layer.register_forward_hook(hook, with_kwargs=True)
