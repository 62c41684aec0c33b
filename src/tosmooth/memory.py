"""How much memory a device has left, and what to say when it does not suffice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import torch

# In errors that say that memory ran out: on the host PyTorch raises a plain RuntimeError and oneDNN another one; cuBLAS
# and cuDNN allocate by themselves, and tell their status.
SIGNS = (
    "can't allocate memory", "not enough memory", "could not create a memory", "out of memory", "bad_alloc",
    "_ALLOC_FAILED", "_ALLOCATION_FAILED",
)  # fmt: skip


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
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in SIGNS)


@contextmanager
def blaming(culprit: str) -> Iterator[None]:
    """Keep with an error of memory what needed it, and what would need less; see `culprit_of`."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            error.add_note(culprit)
        raise


def culprit_of(error: BaseException) -> str | None:
    """What an error of memory was kept with first; None where nobody said so."""
    return next(iter(getattr(error, "__notes__", [])), None)
