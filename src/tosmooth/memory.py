"""How much memory a device has left."""

from __future__ import annotations

import psutil
import torch


def free_memory(device: torch.device) -> int:
    """Bytes that tensors may still take: of the device, or of the host where the device shares its memory."""
    if device.type == "cuda":
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + held  # PyTorch hands out again what it holds
    return int(psutil.virtual_memory().available)
