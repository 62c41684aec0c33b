"""Optimisers by name, what they remember, and the learning rate as a pure function of the step."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tosmooth.config.schema import TrainingConfig
from tosmooth.config.training import OptimizerConfig, ScheduleConfig
from tosmooth.errors import ModelError

# Fused: one kernel for all parameters, and an update that a flag on the device can hold back (see `step_unless`).
FUSED: dict[str, type[torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}
# Devices whose fused optimisers do not leave an update out where ``found_inf`` is 1: Apple's refuse or ignore it.
NO_FOUND_INF = ("mps",)
# Numbers that an optimiser remembers for each weight.
MOMENTS = {"sgd": 1, "adam": 2, "adamw": 2, "nadamw": 2, "adopt": 2, "lamb": 2, "lars": 1, "lion": 1}
# One cycle as torch's OneCycleLR has it: the share of its steps that rise, and shares of the peak at its ends.
RISE, LOW, LOWEST = 0.3, 1 / 25, 1 / 25e4


def build_optimizer(model: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """The optimiser of a configuration over all parameters that require a gradient.

    One group of parameters, unless norms and biases have no weight decay or layers have learning rates of their own:
    those are timm's groups. A group's factor of the learning rate is its ``lr_scale``.

    Args:
        model: as its library builds it; timm's tell their layers and what weight decay spares.
        config: the optimiser.

    Raises:
        ModelError: `layer_decay` for a model that tells no layers.
    """
    if config.layer_decay is not None and not hasattr(model, "group_matcher"):
        raise ModelError(
            "its layers are not known to timm, as those of timm's own models are (timm:…); leave layer_decay out, or "
            "choose another model"
        )
    options: dict[str, Any] = {"lr": config.learning_rate, "weight_decay": config.weight_decay}
    if config.name in {"sgd", "lars"}:
        options |= {"momentum": config.momentum, "nesterov": config.nesterov}
    else:
        options["betas"] = config.betas
    if config.name in FUSED:
        options["fused"] = True
    grouped = not config.decay_norms_and_biases or config.layer_decay is not None
    parameters = [p for p in model.parameters() if p.requires_grad]
    if config.name in FUSED and not grouped:
        return FUSED[config.name](parameters, **options)

    from timm.optim import create_optimizer_v2  # seconds to import: only studies that use it pay

    optimizer: torch.optim.Optimizer = create_optimizer_v2(
        model if grouped else parameters,
        config.name,
        filter_bias_and_bn=not config.decay_norms_and_biases,
        layer_decay=config.layer_decay,
        **options,
    )
    if config.decay_norms_and_biases:  # timm spares position embeddings and the like, be it told so or not
        for group in optimizer.param_groups:
            group["weight_decay"] = config.weight_decay
    return optimizer


def copies_of_weights(config: TrainingConfig) -> int:
    """How many numbers a model in training keeps for each weight between two steps: the weight, what the optimiser
    remembers, and the moving average."""
    return 1 + MOMENTS[config.optimizer.name] + (config.moving_average is not None)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The learning rate of the next step, in each group times its own factor; on a CUDA card rounded to float32.

    The rounding is that of `rates_as_tensors`, so that steps are the same whether or not they are recorded.
    """
    for group in optimizer.param_groups:
        own = rate * group.get("lr_scale", 1.0)
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(own)
        else:
            group["lr"] = float(np.float32(own)) if group["params"][0].is_cuda else own


def rates_as_tensors(optimizer: torch.optim.Optimizer) -> None:
    """Keep learning rates on the device from now on: a recorded step would repeat a number.

    Fused kernels of CUDA read float32; those of the CPU take the number out, in whatever type it is.

    Args:
        optimizer: a fused one.
    """
    for group in optimizer.param_groups:
        device = group["params"][0].device
        dtype = torch.float32 if device.type == "cuda" else torch.float64
        group["lr"] = torch.as_tensor(group["lr"], dtype=dtype, device=device)


@contextmanager
def capturable(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Within it, a step of the optimiser may be recorded: Adam and AdamW refuse to be unless they are told.

    Nothing else depends on it where they are fused, but outside of a recording they warn of it.
    """
    for group in optimizer.param_groups:
        group["capturable"] = True
    try:
        yield
    finally:
        for group in optimizer.param_groups:
            group["capturable"] = False


def reads_flag_on_device(optimizer: torch.optim.Optimizer) -> bool:
    """Whether an update can be held back without asking the host; see `step_unless`."""
    return bool(optimizer.defaults.get("fused"))


def step_unless(optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter], stopped: Tensor) -> None:
    """An update that is left out where a flag on the device is 1: the weights stay the same bits.

    Nobody waits for the device, but for optimisers that are not fused. What an optimiser remembers of a step that was
    left out is worth nothing, so the flag must stay 1.

    Args:
        optimizer: with the gradients of the step.
        parameters: all that it changes.
        stopped: () 0 or 1, on the device.
    """
    if not reads_flag_on_device(optimizer):
        if not stopped.item():
            optimizer.step()
    elif stopped.device.type in NO_FOUND_INF:
        before = [parameter.detach().clone() for parameter in parameters]
        optimizer.step()
        with torch.no_grad():
            for parameter, old in zip(parameters, before, strict=True):
                parameter.copy_(torch.where(stopped > 0, old, parameter))
    else:
        optimizer.found_inf = stopped  # type: ignore[attr-defined]  # the hook that loss scaling uses
        optimizer.step()


def remembered(optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter]) -> Iterator[tuple[str, Tensor]]:
    """What an optimiser has to find again to go on as if nothing had happened, by ``number.name`` of the parameter.

    LAMB counts its steps by group, as a number or a tensor: ``group<number>.step``.
    """
    for number, parameter in enumerate(parameters):
        for name, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, Tensor):
                yield f"{number}.{name}", value
    for number, group in enumerate(optimizer.param_groups):
        if "step" in group:
            yield f"group{number}.step", torch.as_tensor(group["step"])


def remind(optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter], key: str, value: Tensor) -> None:
    """Give an optimiser one of its `remembered` tensors back.

    Raises:
        LookupError, ValueError: it is of another optimiser, or of another model.
    """
    number, _, name = key.partition(".")
    if number.startswith("group"):
        group = optimizer.param_groups[int(number.removeprefix("group"))]
        group[name] = value.clone() if value.is_floating_point() else value.item()
        return
    parameter = parameters[int(number)]
    if name == "step" and not optimizer.defaults.get("fused"):  # counted by the host
        optimizer.state[parameter][name] = value.clone()
        return
    # In the parameter's own memory layout: fused optimisers go through both by address.
    own = torch.empty_like(parameter) if value.shape == parameter.shape else torch.empty_like(value)
    optimizer.state[parameter][name] = own.to(parameter.device, value.dtype).copy_(value)


def learning_rate(step: int, *, peak: float, steps_per_epoch: int, epochs: int, schedule: ScheduleConfig) -> float:
    """The learning rate of one optimiser step.

    A function of the step alone, so a resume cannot come back with another schedule. The warm-up rises linearly and
    reaches the peak at its end; steps are counted from the start of training, warm-up included, as in the paper's
    scripts; the cosine falls to 0 over what the warm-up leaves; the inverse square root falls from the peak at the end
    of the warm-up (of one step, where there is none): peak · √(warm-up / step) (Vaswani et al., 2017, eq. 3). One cycle
    is torch's `OneCycleLR` with its default values, momentum left alone: half a cosine up from peak / 25, over the
    warm-up or 30 % of the steps, and half a cosine down to peak / 250,000 (Smith and Topin, 2017).

    Args:
        step: steps taken so far, from 0 to ``epochs · steps_per_epoch − 1``.
        peak: learning rate after the warm-up.
    """
    total = epochs * steps_per_epoch
    warmup = max(schedule.warmup_epochs * steps_per_epoch, schedule.warmup_steps)
    if schedule.name == "one_cycle":
        top = max(0.0, (warmup or RISE * total) - 1)  # the step at the peak
        if step <= top:
            return _cosine(peak * LOW, peak, step / top if top else 1.0)
        return _cosine(peak, peak * LOWEST, (step - top) / (total - 1 - top))
    if step < warmup:
        return peak * (step + 1) / warmup
    if schedule.name == "constant":
        return peak
    if schedule.name == "inverse_sqrt":
        return peak * math.sqrt(max(1.0, warmup) / (step + 1))
    if schedule.name == "step":
        return peak * schedule.gamma ** (step // (schedule.step_epochs * steps_per_epoch))
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))


def _cosine(start: float, end: float, share: float) -> float:
    """Half a cosine from `start` (share 0) to `end` (share 1)."""
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * share))
