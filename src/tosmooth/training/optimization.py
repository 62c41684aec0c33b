"""Optimisers by name, and the learning rate as a pure function of the step."""

from __future__ import annotations

import math

import torch
from torch import nn

from tosmooth.config.schema import OptimizerConfig, ScheduleConfig


def build_optimizer(model: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """SGD with momentum, Adam or AdamW over all parameters that require a gradient.

    Fused: one kernel for all parameters, and an update that a flag on the device can hold back (see `Trainee.step`).
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    if config.name != "sgd":
        kind = torch.optim.Adam if config.name == "adam" else torch.optim.AdamW
        decay = config.weight_decay
        return kind(parameters, lr=config.learning_rate, betas=config.betas, weight_decay=decay, fused=True)
    return torch.optim.SGD(
        parameters,
        lr=config.learning_rate,
        momentum=config.momentum,
        nesterov=config.nesterov,
        weight_decay=config.weight_decay,
        fused=True,
    )


def learning_rate(step: int, *, peak: float, steps_per_epoch: int, epochs: int, schedule: ScheduleConfig) -> float:
    """The learning rate of one optimiser step.

    A function of the step alone, so a resume cannot come back with another schedule. The warm-up rises linearly and
    reaches the peak at its end; steps are counted from the start of training, warm-up included, as in the paper's
    scripts; the cosine falls to 0 over what the warm-up leaves; the inverse square root falls from the peak at the end
    of the warm-up (of one step, where there is none): peak · √(warm-up / step) (Vaswani et al., 2017, eq. 3).

    Args:
        step: steps taken so far, from 0 to ``epochs · steps_per_epoch − 1``.
        peak: learning rate after the warm-up.
    """
    warmup = max(schedule.warmup_epochs * steps_per_epoch, schedule.warmup_steps)
    if step < warmup:
        return peak * (step + 1) / warmup
    if schedule.name == "constant":
        return peak
    if schedule.name == "inverse_sqrt":
        return peak * math.sqrt(max(1.0, warmup) / (step + 1))
    if schedule.name == "step":
        return peak * schedule.gamma ** (step // (schedule.step_epochs * steps_per_epoch))
    total = epochs * steps_per_epoch
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))
