"""A random stream of one's own, so that who else trains beside a model cannot change it."""

from __future__ import annotations

from types import TracebackType

import numpy as np
import torch


def seed_of_rank(seed: int, rank: int) -> int:
    """The seed of a process' stream: rank 0 draws what a process alone would draw, the others anything else.

    Hashed to 32 bits: PyTorch's generator of the CPU looks at no more of a seed.
    """
    return int(np.random.SeedSequence((seed, rank)).generate_state(1)[0]) if rank else seed


class RandomStream:
    """Swaps a private state of PyTorch's generators in on entry and out on exit.

    Dropout and stochastic depth draw from PyTorch's global generators. Inside ``with stream:`` those hold this stream's
    state, which goes on where the last block left it; outside, the caller's state is untouched. This is what makes a
    student trained in a group equal, bit for bit, to the same student trained alone.

    Args:
        seed: start of the stream.
        device: the accelerator whose generator is swapped beside the CPU's; a CPU device adds nothing.
    """

    def __init__(self, seed: int, device: torch.device | None = None) -> None:
        self._device = device if device is not None and device.type in {"cuda", "mps"} else None
        self._own = [torch.Generator().manual_seed(seed).get_state()]
        if self._device is not None:
            self._own.append(torch.Generator(self._device).manual_seed(seed).get_state())
        self._outer: list[torch.Tensor] = []

    def state(self) -> list[torch.Tensor]:
        """Where the stream stands: a uint8 tensor for each generator."""
        return [state.clone() for state in self._own]

    def go_to(self, state: list[torch.Tensor]) -> None:
        """Go on from where `state` was taken.

        Raises:
            ValueError: it was taken on another kind of device.
        """
        if len(state) != len(self._own):
            raise ValueError(f"the random state is of {len(state)} generators; this device has {len(self._own)}")
        self._own = [part.clone() for part in state]

    def _current(self) -> list[torch.Tensor]:
        states = [torch.get_rng_state()]
        if self._device is not None:
            on_apple = self._device.type == "mps"
            states.append(torch.mps.get_rng_state() if on_apple else torch.cuda.get_rng_state(self._device))
        return states

    def _install(self, states: list[torch.Tensor]) -> None:
        torch.set_rng_state(states[0])
        if self._device is None:
            return
        if self._device.type == "mps":
            torch.mps.set_rng_state(states[1])
        else:
            torch.cuda.set_rng_state(states[1], self._device)

    def __enter__(self) -> RandomStream:
        self._outer = self._current()
        self._install(self._own)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._own = self._current()
        self._install(self._outer)
