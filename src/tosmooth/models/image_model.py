"""An image classifier that takes raw images: what it wants to see is its own business, not the data pipeline's."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tosmooth.errors import ModelError
from tosmooth.models.study_model import StudyModel

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
LARGEST_SIDE = 4096  # pixels: beyond, it is no side of images that a model was trained on


@dataclass(frozen=True)
class InputSpec:
    """What a backbone wants to see.

    Args:
        channels: 1 (grey) or 3 (RGB).
        size: side of the square input in pixels; None takes the images as they come.
        mean: per channel, of images in [0, 1]; one value for all channels or one for each.
        std: per channel, of images in [0, 1], above 0.

    Raises:
        ModelError: a field that cannot be.
    """

    channels: int = 3
    size: int | None = None
    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.5,)

    def __post_init__(self) -> None:
        if self.channels not in (1, 3):
            raise ModelError(f"input channels: {self.channels}, must be 1 (grey) or 3 (RGB)")
        if self.size is not None and (isinstance(self.size, bool) or not isinstance(self.size, int) or self.size < 1):
            raise ModelError(f"input size: {self.size!r}, must be the side of a square in whole pixels, or none")
        for field in ("mean", "std"):
            object.__setattr__(self, field, self._per_channel(field))
        if min(self.std) <= 0:
            raise ModelError(f"input std: {list(self.std)}, must be above 0")

    def _per_channel(self, field: str) -> tuple[float, ...]:
        given = getattr(self, field)
        try:
            values = tuple(float(v) for v in (given if isinstance(given, list | tuple) else [given]))
        except (TypeError, ValueError):
            raise ModelError(f"input {field}: {given!r}, must be a number, or one for each channel") from None
        if len(values) == 3 and self.channels == 1:
            values = (sum(values) / 3,)
        values = values * self.channels if len(values) == 1 else values
        if len(values) != self.channels or not all(math.isfinite(v) for v in values):
            raise ModelError(f"input {field}: {given!r}, must be {self.channels} finite numbers, one for each channel")
        return values


class ImageModel(StudyModel):
    """A backbone with its own normalisation and input size in front.

    Teacher and student may differ in both: they share one geometric crop and each prepares it for itself.

    Args:
        backbone: maps prepared images (N, C, H, W) to logits (N, K), or to an object with ``.logits``.
        input: what the backbone wants to see.
        name: the name it was built by, for messages.
        num_classes: K.
        given: fields of `input` that the user set; weights loaded later do not change those.

    Attributes:
        told: whether the weights say how images are normalised: a library publishes them, or their file does.
    """

    told = False
    mean: Tensor
    std: Tensor

    def __init__(
        self, backbone: nn.Module, input: InputSpec, name: str, num_classes: int, given: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(backbone, name, num_classes)
        self.given = dict(given or {})
        # Not in the state dict: saved weights are the backbone's alone and open in the library it came from.
        self.register_buffer("mean", torch.empty(0), persistent=False)
        self.register_buffer("std", torch.empty(0), persistent=False)
        self.use_input(input)

    def use_input(self, spec: InputSpec) -> None:
        """Prepare images as `spec` says from now on, except for what the user has given."""
        self.input = dataclasses.replace(spec, **self.given)
        for name, values in (("mean", self.input.mean), ("std", self.input.std)):
            old = getattr(self, name)
            setattr(self, name, torch.tensor(values, dtype=old.dtype, device=old.device).view(1, -1, 1, 1))

    @contextmanager
    def shown_as(self, spec: InputSpec) -> Iterator[None]:
        """Within it, images are prepared as `spec` says, whatever the user has given."""
        given, before = self.given, self.input
        self.given = {}
        self.use_input(spec)
        try:
            yield
        finally:
            self.given = given
            self.use_input(before)

    def prepare(self, images: Tensor) -> Tensor:
        """Images as the backbone wants them.

        Args:
            images: (N, C, H, W), uint8 in 0..255 or float in [0, 1]; C is 1 or 3. Grey is repeated for an RGB backbone.

        Returns:
            (N, input.channels, S, S) floats, normalised; S is input.size, or the images' own size where that is None.

        Raises:
            ModelError: images of another shape, or RGB images for a grey backbone.
        """
        if images.ndim != 4:
            raise ModelError(f"{self.name}: images have shape {tuple(images.shape)}, must be (N, C, H, W)")
        if not images.dtype.is_floating_point:
            images = images.float() / 255
        if images.shape[1] != self.input.channels:
            if images.shape[1] != 1:
                raise ModelError(
                    f"{self.name}: images have {images.shape[1]} channels, this model takes {self.input.channels}"
                )
            images = images.expand(-1, self.input.channels, -1, -1)
        size = self.input.size
        if size is not None and images.shape[2:] != (size, size):
            images = nn.functional.interpolate(
                images, size=(size, size), mode="bilinear", antialias=True, align_corners=False
            )
        return ((images - self.mean) / self.std).to(self.mean.dtype)

    def classify(self, prepared: Tensor) -> Tensor:
        """Logits (N, K) of images that `prepare` has prepared."""
        return logits_of(self.backbone(prepared))

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K) of images (N, C, H, W), uint8 in 0..255 or float in [0, 1]."""
        return self.classify(self.prepare(images))


def logits_of(output: Any) -> Tensor:
    """The logits in what a classifier returned: a tensor, or an object with ``.logits`` (Hugging Face).

    Raises:
        ModelError: neither.
    """
    logits = output if isinstance(output, Tensor) else getattr(output, "logits", None)
    if not isinstance(logits, Tensor):
        raise ModelError(
            f"a classifier must return its logits as a tensor, or an object with .logits; this one returned "
            f"{type(output).__name__}"
        )
    return logits
