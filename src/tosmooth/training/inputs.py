"""A batch as each model wants to see it, prepared once for all models that want the same."""

from __future__ import annotations

import torch
from torch import Tensor

from tosmooth.models.build import ImageModel


class SharedInputs:
    """Prepared images by input specification.

    A group's students, and often its teachers, want the same size and normalisation: one preparation serves them all.

    Args:
        images: (N, C, H, W), uint8 in 0..255 or float in [0, 1], on the models' device.
        channels_last: memory layout of the prepared images.
    """

    def __init__(self, images: Tensor, *, channels_last: bool = False) -> None:
        self._images = images
        self._format = torch.channels_last if channels_last else torch.contiguous_format
        self._prepared: dict[object, tuple[Tensor, int]] = {}

    def of(self, model: ImageModel) -> Tensor:
        """The batch prepared for a model, (N, C, S, S); shared, and prepared anew after a model that writes into it."""
        key = (model.input, model.mean.dtype)
        prepared, version = self._prepared.get(key, (None, -1))
        if prepared is None or prepared._version != version:
            prepared = model.prepare(self._images).contiguous(memory_format=self._format)
            self._prepared[key] = prepared, prepared._version
        return prepared
