"""The exponential moving average of a model's weights, as timm keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tosmooth.config.training import MovingAverageConfig
from tosmooth.models.study_model import StudyModel

if TYPE_CHECKING:
    from timm.utils import ModelEmaV3


def average_of(model: StudyModel, config: MovingAverageConfig) -> ModelEmaV3:
    """The moving average of a model in training, in float32, beside it on its device; now, its weights.

    `update(model, step)` after step s (from 1) makes it d · average + (1 − d) · weights. d is 0 in step 1; then the
    decay, with a warm-up at most 1 − s^(−2/3). Statistics of batch normalisation are averaged as the weights are;
    counters are copied. It stays in eval mode, and draws from nobody's random stream.

    Args:
        model: placed on its device, before its first step.
        config: decay and warm-up.
    """
    from timm.utils import ModelEmaV3  # seconds to import: only studies that use it pay

    # timm goes through the state dict, in which a tensor that two layers share stands twice and would move twice.
    tied = len(list(model.parameters())) < len(list(model.named_parameters(remove_duplicate=False)))
    return ModelEmaV3(model, decay=config.decay, use_warmup=config.warmup, exclude_buffers=tied)
