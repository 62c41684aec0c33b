"""What goes into the forward pass of a model on a shared batch, and what comes out of it for the losses."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from tosmooth.models.image_model import ImageModel
from tosmooth.models.study_model import StudyModel
from tosmooth.models.translation_inputs import TokenInputs


class SharedInputs:
    """Prepared inputs by input specification.

    A group's students, and often its teachers, want the same size and normalisation: one preparation serves them all.
    Sentences need none: all models of a study share one vocabulary.

    Args:
        inputs: images (N, C, H, W), uint8 in 0..255 or float in [0, 1]; or sentence pairs. On the models' device.
        channels_last: memory layout of prepared images.
    """

    def __init__(self, inputs: Tensor | TokenInputs, *, channels_last: bool = False) -> None:
        self._inputs = inputs
        self._format = torch.channels_last if channels_last else torch.contiguous_format
        self._prepared: dict[object, tuple[Tensor, int]] = {}

    def of(self, model: StudyModel) -> Any:
        """The batch prepared for a model, images (N, C, S, S); shared, and made anew after one that writes into it."""
        if not isinstance(self._inputs, Tensor) or not isinstance(model, ImageModel):
            return self._inputs
        key = (model.input, model.mean.dtype)
        prepared, version = self._prepared.get(key, (None, -1))
        if prepared is None or prepared._version != version:
            prepared = model.prepare(self._inputs).contiguous(memory_format=self._format)
            self._prepared[key] = prepared, prepared._version
        return prepared


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


def first_rows(answer: Answer, number: int) -> Answer:
    """The answer for the first samples alone."""
    if isinstance(answer, Tensor):
        return answer[:number]
    return Hidden(answer.features[:number], answer.layer)
