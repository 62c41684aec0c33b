"""float64, on a device that has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # reports speak of class scores, and are written without PyTorch
    import torch
    from torch import Tensor


def host_of(device: torch.device) -> torch.device:
    """Where numbers of a device are summed in float64: there, or on the CPU, as Apple's GPUs have no float64."""
    import torch

    return torch.device("cpu") if device.type == "mps" else device


def exact(values: Tensor) -> Tensor:
    """The values in float64, on the CPU if they were on an Apple GPU."""
    return values.to(host_of(values.device)).double()
