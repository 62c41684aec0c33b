"""A step recorded once and replayed as a CUDA graph: the same kernels in the same order, launched by one call.

A small student's step is many short kernels, and a card waits for the host to launch them. A graph keeps what it was
recorded with, numbers and addresses alike. So whatever changes from step to step has to be a tensor that is written in
place: the batch (copied into tensors of the recording's own), the learning rate (`rates_as_tensors`), the flag and the
meters of a `Trainee`. Dropout draws on from where the generator stands at each replay. What needs a number of the
step's own, such as a moving average, comes after the replay.

No card has run this yet. In the suite, a stand-in replays the operations of a step on the CPU with the same rules.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

import numpy as np
import torch
from torch import Tensor

from tosmooth.errors import ModelError
from tosmooth.memory import is_out_of_memory
from tosmooth.training.forward import Answer
from tosmooth.training.optimization import capturable, rates_as_tensors, reads_flag_on_device

Update = Callable[[Any, Tensor, Mapping[str, Answer]], None]  # prepared inputs, labels, teachers' answers by name

Kind = tuple[tuple[torch.dtype, torch.Size, tuple[int, ...]], ...]

WARM_UP = 3  # steps of a model before the recording: kernels are loaded, and the optimiser makes what it remembers


def no_graphs(device: torch.device, processes: int, compiled: bool) -> str | None:
    """Why a run can record no steps, whatever it trains; None where it can."""
    if device.type != "cuda":
        return f"only a CUDA card replays them, and this run is on {device.type}"
    if processes > 1:
        return "several processes exchange gradients within a step"
    if compiled:
        return "students are compiled (compute.compile=on)"
    return None


class Graphs:
    """The CUDA graphs of a run.

    They share one pool of memory, and those of one kind of batch share its tensors: nothing that a step leaves behind
    lies in either, so the next one may overwrite it.

    Args:
        refusal: why there can be none; every step is taken as it is, then.

    Attributes:
        note: told why steps are taken as they are, where they are.
        replays_host: whether random draws of the host are drawn anew at each replay; a CUDA graph would repeat them.
    """

    replays_host = False

    def __init__(self, refusal: str | None = None) -> None:
        self._refusal = refusal
        self._alive: WeakSet[torch.cuda.CUDAGraph] = WeakSet()  # of models that are still in training
        self._batches: dict[Kind, list[Tensor]] = {}
        self._stream: Any = None
        self.note: Callable[[str], None] = lambda text: None

    def of(self, optimizer: torch.optim.Optimizer, batch_size: int, name: str) -> RecordedStep | None:
        """What records the step of a model; None where it cannot be recorded.

        Args:
            optimizer: of the step.
            batch_size: of whole batches.
            name: of the model, for messages.
        """
        refusal = self._refusal
        if refusal is None and not reads_flag_on_device(optimizer):
            refusal = f"{type(optimizer).__name__} asks the host in each step whether to update"
        if refusal is None:
            return RecordedStep(self, optimizer, batch_size, name)
        self.refuse(refusal)
        return None

    def refuse(self, why: str) -> None:
        """Say why steps are taken as they are."""
        self.note(f"compute.graphs=auto records no steps here: {why}")

    @contextmanager
    def aside(self) -> Iterator[None]:
        """On the stream that is recorded later: libraries have their workspaces by stream, and would make them then."""
        if self._stream is None:
            self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            yield
        torch.cuda.current_stream().wait_stream(self._stream)

    def batch(self, parts: list[Tensor]) -> list[Tensor]:
        """Tensors like these, for a recording to read: to be filled before each replay."""
        if (kind := kind_of(parts)) not in self._batches:
            self._batches[kind] = [part.clone() for part in parts]
        return self._batches[kind]

    def record(self, step: Callable[[], None]) -> Callable[[], None]:
        """What takes `step` once more each time it is called; nothing is computed now.

        Raises:
            RuntimeError: the step asks the card for a number, or for memory that it does not have.
        """
        graph = torch.cuda.CUDAGraph()
        pool = next((other.pool() for other in self._alive), None)  # a pool is gone when its last graph is
        # Of this thread alone: those that load images may go on pinning memory meanwhile.
        with torch.cuda.graph(graph, pool=pool, stream=self._stream, capture_error_mode="thread_local"):
            step()
        self._alive.add(graph)
        return graph.replay


class RecordedStep:
    """A model's step: as it is for some whole batches, then recorded, and replayed from then on.

    Batches of another size (the last of an epoch) or another kind (mixed, where the recorded one was not) are taken as
    they are, with the same tensors.

    Args:
        graphs: of the run.
        optimizer, batch_size, name: as for `Graphs.of`.
    """

    def __init__(self, graphs: Graphs, optimizer: torch.optim.Optimizer, batch_size: int, name: str) -> None:
        self._graphs, self._optimizer, self._batch_size, self._name = graphs, optimizer, batch_size, name
        self._refused, self._warm = False, 0
        self._batch: list[Tensor] = []  # of the recording
        self._replay: Callable[[], None] | None = None
        rates_as_tensors(optimizer)

    def take(self, update: Update, prepared: Any, labels: Tensor, answers: Mapping[str, Answer]) -> None:
        """Take the step on a batch.

        Args:
            update: the step, always the same. It reads nothing of a batch but its arguments, and what it leaves are
                tensors that it changes in place.
            prepared, labels, answers: the batch.

        Raises:
            ModelError: the step cannot be recorded.
        """
        parts = [part for part in (prepared, labels, *answers.values()) if isinstance(part, Tensor)]
        if not self._refused and len(parts) < 2 + len(answers):
            self._refuse("inputs that are not one tensor, such as sentences, differ in shape from batch to batch")
        whole = len(labels) == self._batch_size and not self._refused
        if whole and self._warm < WARM_UP:
            self._warm_up(update, prepared, labels, answers)
        elif whole and (self._replay is None or kind_of(parts) == kind_of(self._batch)):
            replay = self._replay or self._record(update, parts, list(answers))
            for own, part in zip(self._batch, parts, strict=True):
                own.copy_(part)
            replay()
        else:
            update(prepared, labels, answers)

    def _refuse(self, why: str) -> None:
        self._graphs.refuse(why)
        self._refused = True

    def _warm_up(self, update: Update, *batch: Any) -> None:
        before = _host_randomness()
        with self._graphs.aside():
            update(*batch)
        self._warm += 1
        if not self._graphs.replays_host and _host_randomness() != before:
            self._refuse(f"{self._name} draws random numbers on the host, which a graph would repeat")

    def _record(self, update: Update, parts: list[Tensor], teachers: list[str]) -> Callable[[], None]:
        self._batch = self._graphs.batch(parts)
        prepared, labels, *answers = self._batch
        named = dict(zip(teachers, answers, strict=True))
        try:
            with capturable(self._optimizer):
                self._replay = self._graphs.record(lambda: update(prepared, labels, named))
            return self._replay
        except RuntimeError as error:
            cause = error.__context__ or error  # a recording that breaks off ends with an error of its own
            if is_out_of_memory(cause):
                raise cause from None
            said = (str(cause).strip() or type(cause).__name__).splitlines()[0]
            raise ModelError(
                f"{self._name}: its step cannot be recorded as a CUDA graph ({said}); set compute.graphs=off, and the "
                "same command goes on from the last checkpoint"
            ) from None


def _host_randomness() -> tuple[object, ...]:
    """Where the host's random streams stand."""
    numpy = repr(np.random.get_state())  # noqa: NPY002 - a stranger's model may draw from the global one
    return torch.get_rng_state().numpy().tobytes(), random.getstate(), numpy


def kind_of(parts: list[Tensor]) -> Kind:
    """What kernels depend on: type, shape and layout of each."""
    return tuple((part.dtype, part.shape, part.stride()) for part in parts)
