"""An Apple GPU in miniature, for machines without one: tensors of the device "mps" that have no float64.

They compute on the CPU, and refuse what Apple's do: float64, and to be mixed with tensors of another device.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map


class OnApple(Tensor):
    """A tensor that says it lies on an Apple GPU."""

    @staticmethod
    def __new__(cls, inner: Tensor) -> OnApple:
        if inner.dtype == torch.float64:
            raise TypeError("Apple's GPUs have no float64")
        return inner.as_subclass(cls)

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = (args, kwargs or {})
        if function == Tensor.device.__get__:  # type: ignore[attr-defined]
            return torch.device("mps")
        leaves, flat = function is Tensor.cpu, tree_flatten(given)[0]
        if function is Tensor.to:
            goes_to = [own for own in flat if isinstance(own, str | torch.device)]
            leaves = bool(goes_to) and torch.device(goes_to[0]).type == "cpu"
            if leaves and torch.float64 in flat:
                raise TypeError("not at once: first to the CPU, then to float64")
        elif any(isinstance(own, Tensor) and not isinstance(own, cls) and own.ndim for own in flat):
            raise TypeError(f"{function.__name__}: tensors of several devices")
        with torch._C.DisableTorchFunctionSubclass():
            args, kwargs = tree_map(_inner, given)
            found = function(*args, **kwargs)
            return found if leaves else tree_map(lambda own: cls(own) if isinstance(own, Tensor) else own, found)


def _inner(value: Any) -> Any:
    """What stands for it on the CPU."""
    if isinstance(value, OnApple):
        return value.as_subclass(Tensor)
    return torch.device("cpu") if isinstance(value, torch.device) and value.type == "mps" else value
