"""A CUDA graph's rules on the CPU: what a recorded step may depend on can be tested without a card."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tosmooth.training.graphs import Graphs


def tensors(of: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(of) if isinstance(leaf, Tensor)]


def address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


class Operations(TorchDispatchMode):
    """The operations that run within it, in their order, backward pass and optimiser included."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[tuple[Any, Any, Any, Any]] = []
        self._made: set[int] = set()
        self._before: dict[int, tuple[Any, Any]] = {}  # what was there already: storage and a copy of it

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("operation not permitted when stream is capturing")
        kwargs = kwargs or {}
        for tensor in tensors((args, kwargs)):
            if address(tensor) not in self._made and address(tensor) not in self._before:
                storage = tensor.untyped_storage()
                self._before[address(tensor)] = storage, storage.clone()
        out = func(*args, **kwargs)
        self._made |= {address(tensor) for tensor in tensors(out)} - self._before.keys()
        self._calls.append((func, args, kwargs, out))
        return out

    def undo(self) -> None:
        for storage, copy in self._before.values():
            storage.copy_(copy)

    @torch.no_grad()
    def again(self) -> None:
        for func, args, kwargs, old in self._calls:
            for kept, new in zip(tensors(old), tensors(func(*args, **kwargs)), strict=True):
                if address(kept) != address(new):  # neither a view nor written in place
                    kept.copy_(new)


class Tape(Graphs):
    """Replays operations on the very tensors and with the very numbers that they were recorded with.

    As with a CUDA graph, recording changes no tensor, whoever asks for a number fails, and nothing of the step's own
    text runs again. Random numbers are drawn from the CPU's generator as it stands at the replay, which on a card is
    true of the card's.
    """

    replays_host = True

    def __init__(self) -> None:
        super().__init__()
        self.recorded = self.replayed = 0
        self.notes: list[str] = []
        self.note = self.notes.append

    @contextmanager
    def aside(self) -> Iterator[None]:
        yield

    def record(self, step: Callable[[], None]) -> Callable[[], None]:
        stood, operations = torch.get_rng_state(), Operations()
        with operations:
            step()
        torch.set_rng_state(stood)
        operations.undo()
        self.recorded += 1

        def replay() -> None:
            self.replayed += 1
            operations.again()

        return replay
