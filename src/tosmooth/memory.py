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


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a tensor found no memory, on the device or on the host."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # On the host PyTorch raises a plain RuntimeError, and oneDNN another one.
    signs = ("can't allocate memory", "not enough memory", "could not create a memory", "out of memory", "bad_alloc")
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in signs)
