"""The one training loop: a group of models over the same batches.

Teachers of several α are a group without a teacher; students of one seed are a group with one teacher per α. A batch is
loaded and augmented once and each teacher runs once on it, then every model takes its own step in turn, so the
activations of only one model are alive at a time. Nothing in a model's step depends on the others: a model trained in a
group ends bit-equal to the same model trained alone (same machine, versions and thread count, on the CPU).
"""

from __future__ import annotations

import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial

import torch

from tosmooth.data.batches import Batch, Batches
from tosmooth.data.mixing import Mixing
from tosmooth.errors import Interrupted, NonFiniteError
from tosmooth.training.checkpoint import BEGINNING, Position
from tosmooth.training.compute import Compute
from tosmooth.training.forward import SharedInputs
from tosmooth.training.processes import Processes
from tosmooth.training.stopping import Stopping
from tosmooth.training.teaching import Teaching
from tosmooth.training.trainee import Share, Trainee

# Steps between two looks at the flags, and between two questions to all processes: each makes the host wait.
CHECK_EVERY = 50


class Checkpointing(ABC):
    """What the loop needs to save its state, and to be stopped."""

    @abstractmethod
    def due(self) -> bool:
        """Whether it is time for a checkpoint within the epoch."""

    @abstractmethod
    def save(self, position: Position, group: Sequence[Trainee]) -> None:
        """Save all models of the group."""

    @abstractmethod
    def stopping(self) -> Stopping:
        """Whether somebody asked the run to end."""


def train_group(
    group: Sequence[Trainee],
    batches: Batches,
    *,
    compute: Compute,
    teaching: Teaching | None = None,
    mixing: Mixing | None = None,
    validate: Callable[[Sequence[Trainee]], Sequence[Mapping[str, float]]] | None = None,
    on_batch: Callable[[int, int], None] = lambda epoch, images: None,
    start: Position = BEGINNING,
    stop: int | None = None,
    checkpoints: Checkpointing | None = None,
) -> None:
    """Train every model of the group to the end of its epochs, or up to one of them.

    Args:
        group: models with the same number of epochs; those that fail are left out from then on and carry the reason.
        batches: the shared training batches.
        teaching: where the teachers' answers come from, by the names that the students' loss functions use.
        mixing: how batches are mixed before teachers and students see them; None = not at all.
        validate: metrics of each of some models for its epoch record; needed where the best epoch is kept.
        on_batch: told the epoch (from 0) and the image-steps done, for progress.
        start: where to go on; the models have been restored to it.
        stop: epochs after which to end; None = all. The learning rate follows the schedule of all epochs, and the
            models can go on from the checkpoint of that point, in this group or in another, to the same weights.
        checkpoints: how the state is saved; None = not at all.

    Raises:
        NonFiniteError: every model of the group has failed.
        Interrupted: a signal asked for it, and the state is saved.
    """
    alive = [trainee for trainee in group if trainee.failure is None]
    if not alive:
        return
    watch = _Watch(group, compute, checkpoints)

    # Loop
    for epoch in range(start.epoch, group[0].config.epochs if stop is None else stop):
        first = start.batch if epoch == start.epoch else 0
        started, images_done = time.perf_counter(), 0
        for trainee in alive:
            trainee.model.train()
        with watch.patiently(), compute.processes.exchange():
            for number, loaded in enumerate(batches.epoch(epoch, first), first):
                batch = compute.put(loaded)
                if mixing is not None:
                    batch = mixing.of(batch, epoch, number)
                share = _share(batch, compute.processes)
                if share is None and not batch.counted:
                    continue  # nothing in it could be read
                inputs = SharedInputs(batch.inputs, channels_last=compute.channels_last)
                answers = {} if teaching is None or not batch.counted else teaching.answers(batch, inputs)

                # Update
                for trainee in alive:
                    trainee.step(inputs, batch.labels, answers, share)
                images_done += batch.whole
                on_batch(epoch, batch.whole * len(alive))

                # Faults
                if number % CHECK_EVERY == CHECK_EVERY - 1:
                    alive = _still_finite(alive, epoch)
                watch.after(Position(epoch, number + 1))
            alive = _still_finite(alive, epoch)

            # Evaluation
            speed = images_done / (time.perf_counter() - started) if images_done else None
            for trainee in alive:  # batch normalisation: what is judged must be what is saved
                compute.processes.copy_from_main(list(trainee.model.buffers()))
                if trainee.average is not None:
                    compute.processes.copy_from_main(list(trainee.kept.buffers()))
            with watch.impatiently(Position(epoch, len(batches))):
                metrics = list(validate(alive)) if validate else [{} for _ in alive]
            compute.processes.agree(partial(_end_epoch, alive, epoch, metrics, speed))
            watch.after(Position(epoch + 1), save=True)


def _end_epoch(alive: list[Trainee], epoch: int, metrics: list[Mapping[str, float]], speed: float | None) -> None:
    for trainee, own in zip(alive, metrics, strict=True):
        trainee.end_epoch(epoch, own, speed)


class _Watch:
    """Saves the group when it is due, and when a signal has asked for the end."""

    def __init__(self, group: Sequence[Trainee], compute: Compute, checkpoints: Checkpointing | None) -> None:
        self._group, self._processes, self._checkpoints = group, compute.processes, checkpoints
        self._stopping = Stopping() if checkpoints is None else checkpoints.stopping()

    def patiently(self) -> AbstractContextManager[None]:
        return self._stopping.deferred()

    @contextmanager
    def impatiently(self, position: Position) -> Iterator[None]:
        """A stretch that changes nothing, and that a signal may cut short."""
        if self._processes.world > 1:  # one of them must not leave the others alone in an exchange
            yield
            return
        try:
            with self._stopping.immediate():
                yield
        except Interrupted:
            self.save(position)
            raise

    def after(self, position: Position, *, save: bool = False) -> None:
        """Save if that is due, and leave if that was asked for.

        One process looks after every batch; several look every few, because they have to agree.
        """
        checkpoints = self._checkpoints
        if checkpoints is None or (self._processes.world > 1 and not save and position.batch % CHECK_EVERY):
            return
        stop = self._stopping.requested
        wanted, due = self._processes.any(stop is not None, save or (self._processes.main and checkpoints.due()))
        if wanted or due:
            self.save(position)
        if wanted:
            raise Interrupted(stop or signal.SIGTERM)

    def save(self, position: Position) -> None:
        if self._checkpoints is not None:
            self._checkpoints.save(position, self._group)


def _share(batch: Batch, processes: Processes) -> Share | None:
    """This process's part of a batch; None where it is alone."""
    if processes.world == 1:
        return None
    # Filled on the device: a number from the host would be a copy that waits.
    total = processes.sum(torch.full((), float(batch.counted), device=batch.labels.device))
    return Share(batch.counted, total, batch.counted * processes.world / total.clamp(min=1))


def _still_finite(alive: list[Trainee], epoch: int) -> list[Trainee]:
    """The models whose losses and gradients have all been finite; one transfer from the device serves all."""
    for trainee, stopped in zip(alive, torch.stack([t.stopped for t in alive]).tolist(), strict=True):
        if stopped:
            trainee.fail(epoch)
    remaining = [trainee for trainee in alive if trainee.failure is None]
    if not remaining:
        raise NonFiniteError("\n".join(str(trainee.failure) for trainee in alive))
    return remaining
