"""Which device a run works on, and what that device can do."""

from __future__ import annotations

from datetime import timedelta

import torch
from accelerate import Accelerator, InitProcessGroupKwargs
from accelerate.state import is_initialized

from tosmooth.config.schema import ComputeConfig
from tosmooth.errors import ConfigError
from tosmooth.training.processes import lost_peers

APPLE_LEFT_ALONE = (
    "this Mac's GPU is left alone: no Mac has run tosmooth's tests yet, so compute.device=auto means the CPU; "
    "compute.device=mps uses it"
)


def available_devices() -> dict[str, bool]:
    """Whether each device that a configuration can name is there."""
    return {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}


def leaves_apple_alone(config: ComputeConfig) -> bool:
    """Whether `auto` means the CPU although there is an Apple GPU."""
    there = available_devices()
    return config.device == "auto" and there["mps"] and not there["cuda"]


def find_device(config: ComputeConfig) -> tuple[Accelerator, torch.device]:
    """What trains, and where: the GPU of this process among several is Accelerate's choice.

    Accelerate keeps one device for the whole life of a process. A process alone, such as a notebook, gets the device
    that it asks for nevertheless, each time.

    Raises:
        ConfigError: the device asked for is not there, or several processes already work on another.
    """
    there, wanted = available_devices(), config.device
    if wanted != "auto" and not there[wanted]:
        here = ", ".join(name for name, is_there in there.items() if is_there)
        raise ConfigError([f"compute.device: {wanted} is not available on this machine (available: {here})"])
    again = is_initialized()  # by an earlier run, or by whoever else uses Accelerate in this process
    if leaves_apple_alone(config):
        wanted = "cpu"
    elif wanted == "auto" and again and there["cuda"]:  # the earlier run may have asked for the CPU
        wanted = "cuda"
    patience = InitProcessGroupKwargs(timeout=timedelta(minutes=config.timeout_minutes))
    with lost_peers():
        accelerator = Accelerator(cpu=wanted == "cpu" and not again, kwargs_handlers=[patience])
    device: torch.device = accelerator.device
    if wanted in {"auto", device.type}:
        return accelerator, device
    if accelerator.num_processes > 1:
        raise ConfigError(
            [f"compute.device: these processes work on {device.type} already; start new ones for {wanted}"]
        )
    return accelerator, torch.device(wanted, torch.cuda.current_device()) if wanted == "cuda" else torch.device(wanted)


def has_bf16(device: torch.device) -> bool:
    """Whether a GPU computes in bf16 itself: older ones emulate it, more slowly than float32."""
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def computes_in_bf16(device: torch.device) -> bool:
    """Whether a device computes in bf16 itself, be it a GPU or a CPU: others emulate it, more slowly than float32."""
    return has_bf16(device) or (device.type == "cpu" and torch.cpu._is_avx512_bf16_supported())


def exact_float32() -> None:
    """Make float32 mean float32 on GPUs, in this process: PyTorch's convolutions round to TF32's 10 bits otherwise."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
