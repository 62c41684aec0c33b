"""The processes of one run: one alone, or those that `torchrun` or `accelerate launch` has started together.

Only rank 0 writes. Everything here is trivial, and free, in a process that is alone.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import psutil
import torch
import torch.distributed as dist
from torch import Tensor

from tosmooth.errors import PeerError, TosmoothError

Result = TypeVar("Result")


@dataclass(frozen=True)
class Processes:
    """This process among those of its run.

    Attributes:
        rank: from 0; rank 0 writes and shows progress.
        world: how many processes there are.
        device: where tensors are exchanged.
        peers: (host, process number) of each.
    """

    rank: int = 0
    world: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    peers: tuple[tuple[str, int], ...] = ()

    @classmethod
    def here(cls, device: torch.device) -> Processes:
        """The processes that this one was started with; a process group must be there already, if there is one."""
        if not dist.is_initialized() or dist.get_world_size() == 1:
            return cls()
        alone = cls(dist.get_rank(), dist.get_world_size(), device)
        return cls(alone.rank, alone.world, device, tuple(alone.gather((socket.gethostname(), os.getpid()))))

    @property
    def main(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    def gather(self, value: Result) -> list[Result]:
        """The value of every process, in the order of ranks."""
        if self.world == 1:
            return [value]
        found: list[Any] = [None] * self.world
        with self.exchange():
            dist.all_gather_object(found, value)
        return found

    def agree(self, work: Callable[[], Result]) -> Result:
        """Do something in every process; where it fails in one, all fail, and one error is reported.

        Raises:
            PeerError: it failed in another process, which reports it.
        """
        return self._together(work, work)

    def on_main(self, work: Callable[[], Result]) -> Result:
        """Do something in rank 0 while the others wait; its result, in all of them.

        Raises:
            PeerError: it failed there, where it is reported.
        """
        found = self._together(work, lambda: None)
        return found if self.world == 1 else self._broadcast(found)  # type: ignore[return-value, arg-type]

    def _together(self, main: Callable[[], Result], others: Callable[[], Any]) -> Result:
        if self.world == 1:
            return main()
        error: TosmoothError | OSError | None = None
        result: Any = None
        try:
            result = main() if self.main else others()
        except (TosmoothError, OSError) as caught:
            error = caught
        failed = [rank for rank, text in enumerate(self.gather(None if error is None else str(error))) if text]
        if failed:
            if error is not None and self.rank == failed[0]:
                raise error
            raise PeerError(f"process {failed[0]} of this run failed", told=True)
        return result  # type: ignore[no-any-return]

    def _broadcast(self, value: Result) -> Result:
        box = [value]
        with self.exchange():
            dist.broadcast_object_list(box, src=0, device=self.device if self.device.type == "cuda" else None)
        return box[0]

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """For each flag, whether it is set in any process."""
        if self.world == 1:
            return flags
        return tuple(map(any, zip(*self.gather(flags), strict=True)))

    def sum(self, value: Tensor) -> Tensor:
        """The sum of a tensor over all processes, on the device, without waiting for it."""
        if self.world == 1:
            return value
        with self.exchange():
            dist.all_reduce(value)
        return value

    def copy_from_main(self, tensors: list[Tensor]) -> None:
        """Overwrite these tensors with those of rank 0."""
        if self.world == 1:
            return
        with self.exchange():
            for tensor in tensors:
                dist.broadcast(tensor, src=0)

    @contextmanager
    def exchange(self) -> Iterator[None]:
        """A stretch in which processes wait for each other.

        Raises:
            PeerError: one of them is gone, or did not answer in time.
        """
        if self.world == 1:
            yield
            return
        with lost_peers():
            yield

    def speaks(self) -> bool:
        """Whether this process reports what ended the run: the lowest rank that still lives, as far as one can tell."""
        return not any(_lives(*peer) for peer in self.peers[: self.rank])


def leave_group() -> None:
    """Say goodbye to the process group that this run has begun, if there is one: else NCCL warns, and may hang."""
    if dist.is_initialized():
        dist.destroy_process_group()


def _lives(host: str, number: int) -> bool:
    if host != socket.gethostname():
        return True
    try:
        return bool(psutil.Process(number).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@contextmanager
def lost_peers() -> Iterator[None]:
    """Turn the failure of an exchange into one sentence.

    Raises:
        PeerError: another process is gone, or did not answer in time.
    """
    try:
        yield
    except RuntimeError as error:  # DistBackendError and its kin are RuntimeErrors, gloo's are plain ones
        text = str(error)
        signs = ("closed by peer", "Connection reset", "timed out", "Timed out", "NCCL", "Broken pipe", "gloo")
        if not (isinstance(error, dist.DistError) or any(sign in text for sign in signs)):
            raise
        raise PeerError(
            f"another process of this run died or does not answer ({text.strip().splitlines()[0][:120]}); "
            "the same command goes on from the last checkpoint",
            told=False,
        ) from None
