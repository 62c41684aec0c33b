"""Where the work is done and in which precision, on top of Accelerate."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TypeVar

import torch
from accelerate import Accelerator
from torch import nn

from tosmooth.config import ComputeConfig
from tosmooth.data.batches import Batch
from tosmooth.errors import ConfigError

Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True)
class Compute:
    """Device, precision and memory layout of a run."""

    accelerator: Accelerator
    device: torch.device
    precision: str  # "float32" or "bf16"
    channels_last: bool

    @classmethod
    def from_config(cls, config: ComputeConfig) -> Compute:
        """Resolve `auto` against this machine.

        Raises:
            ConfigError: the device asked for is not there.
        """
        if config.threads is not None:
            torch.set_num_threads(config.threads)
        available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        if config.device != "auto" and not available[config.device]:
            here = ", ".join(name for name, there in available.items() if there)
            raise ConfigError([f"compute.device: {config.device} is not available on this machine (available: {here})"])
        accelerator = Accelerator(cpu=config.device == "cpu")
        device = accelerator.device if config.device in {"auto", "cpu"} else torch.device(config.device)
        if config.precision == "auto":
            # CPUs emulate bf16 unless they have the instructions for it; float32 is the safe choice there.
            precision = "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"
        else:
            precision = config.precision
        return cls(accelerator, device, precision, config.channels_last)

    def place(self, model: Model) -> Model:
        """Move a model to the device, in this run's memory layout."""
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        return model.to(device=self.device, memory_format=layout)  # type: ignore[call-overload, no-any-return]

    def put(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """A batch's images (N, C, H, W) and labels (N,) on the device."""
        images = batch.images.to(self.device, non_blocking=True)
        if self.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        return images, batch.labels.to(self.device, non_blocking=True)

    def autocast(self) -> AbstractContextManager[object]:
        """Mixed precision for one forward pass; float32 needs none."""
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)
