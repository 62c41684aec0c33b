"""How fast this machine does a study's work: the study's own loops on real batches, for some seconds.

Training, teaching and evaluation are those of the study. The training loop never comes to the end of an epoch, so it
writes nothing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
import psutil
import torch
from torch import Tensor

from tosmooth.data.base import ImageSplit
from tosmooth.data.batches import Batch, Batches
from tosmooth.data.views import EpochViews
from tosmooth.memory import is_out_of_memory
from tosmooth.models.image_model import ImageModel
from tosmooth.models.names import published_size
from tosmooth.models.study_model import StudyModel
from tosmooth.study.answering_model import answering_model
from tosmooth.study.context import Context
from tosmooth.study.kinds import READ, READ_FOR_EVALUATION, Kind
from tosmooth.study.plan import Cell, Teacher
from tosmooth.study.precision import compute_to_ask
from tosmooth.study.trainees import is_distilled, new_trainee
from tosmooth.training.compute import Compute
from tosmooth.training.evaluation import evaluate
from tosmooth.training.forward import Answer, SharedInputs
from tosmooth.training.loop import train_group
from tosmooth.training.teaching import LiveTeachers, Teaching

FEWEST_IMAGES = 2  # batch normalisation wants more than one
READ_AT_ONCE = 16  # images, while reading is measured
MOST_EPOCHS = 10_000  # of reading, where the data are few
TURNS = 3  # of a loop, that count; with fewer samples than the study has, one
SHORTEST = 1.5  # seconds of reading, where a batch comes sooner
MEMORY_SHARE = 0.5  # of what is free, for activations
SHARES = {"read": 0.15, "read for evaluation": 0.08, "train": 0.5, "ask": 0.12, "evaluate": 0.15}  # of the time

Loop = Callable[[Batches], object]


@dataclass(frozen=True)
class Speed:
    """What was measured.

    Attributes:
        what, role, model: the kind of work.
        per_second: samples.
        batch: samples of the batches it was measured with; of sentences, padded tokens.
        wanted: of those that the study has.
        activation_bytes: of one batch that the study has, scaled from the measured ones; 0 where none are kept.
    """

    what: str
    role: str
    model: str
    per_second: float
    batch: int
    wanted: int
    activation_bytes: int = 0


class Timing:
    """Times the work of a study.

    Args:
        context: of the study; not claimed, and nothing is written.
        seconds: about how long all of it may take.
    """

    def __init__(self, context: Context, seconds: float) -> None:
        self._context, self._seconds = context, seconds
        self._of_images = isinstance(context.data.train, ImageSplit)
        self._read: dict[bool, list[Batch]] = {}  # by whether they are for evaluation
        self.notes: list[str] = []

    def measure(self, kinds: Iterable[Kind]) -> dict[Kind, Speed]:
        """The speed of every kind of work; reading first, as the others work on what was read."""
        wanted = sorted(kinds, key=lambda kind: (kind not in {READ, READ_FOR_EVALUATION}, kind))
        busy, cores = psutil.getloadavg()[0], psutil.cpu_count() or 1
        if wanted and busy > cores / 2:
            self.notes.append(
                f"this machine was busy before the mini-run began ({busy:.1f} programs at work, {cores} processors): "
                "times are longer than on an idle one"
            )
        found: dict[Kind, Speed] = {}
        for kind in wanted:
            seconds = SHARES[kind.what] * self._seconds / sum(other.what == kind.what for other in wanted)
            found[kind] = self._speed(kind, seconds) if kind.model else self._speed_of_reading(kind, seconds)
        scaled = [s for s in found.values() if s.what == "train" and s.batch < s.wanted]
        if scaled:
            smallest = min(scaled, key=lambda s: s.batch)
            self.notes.append(
                f"a step of {smallest.model} was measured with {smallest.batch} of {smallest.wanted} "
                f"{self._context.task.samples} and scaled up: whole batches took too long, or too much memory"
            )
        return found

    # Batches

    def _batches(self, size: int, *, evaluation: bool) -> Batches:
        context = self._context
        if evaluation:
            return context.pipeline.evaluation(context.data.train, batch_size=size)
        return context.pipeline.training(context.taught, batch_size=size, seed=0)

    def _speed_of_reading(self, kind: Kind, seconds: float) -> Speed:
        """How fast samples come once the loader processes are at work; about a batch of them is kept."""
        config, evaluation = self._context.config, kind == READ_FOR_EVALUATION
        wanted = max(config.teacher.batch_size, config.student.batch_size)
        wanted = config.compute.eval_batch_size if evaluation else wanted
        size = min(wanted, READ_AT_ONCE) if self._of_images else wanted
        batches, kept = self._batches(size, evaluation=evaluation), list[Batch]()
        ahead = 2 * config.data.workers + 1  # batches that are read before anyone asks
        begun = started = now = time.perf_counter()
        samples = 0
        for number, batch in enumerate(chain.from_iterable(map(batches.epoch, range(MOST_EPOCHS))), 1):
            now = time.perf_counter()
            if sum(len(b.labels) for b in kept) < wanted and not batch.placeholder:
                kept.append(batch)
            if number <= ahead:
                started = now
                continue
            samples += batch.counted
            enough = samples >= wanted and now - started >= SHORTEST
            if enough or now - started >= seconds or (samples and now - begun > 2 * seconds):
                break
        self._read[evaluation] = kept
        return Speed(*kind, samples / max(1e-9, now - started), size, wanted)

    def _batch(self, size: int, *, evaluation: bool) -> Batch:
        """A real batch of about so many samples; of images, those that were read, again and again if they must."""
        if not self._of_images:
            return next(self._batches(size, evaluation=evaluation).epoch(0))
        read = self._read[evaluation]
        images = torch.cat([batch.inputs for batch in read if isinstance(batch.inputs, Tensor)])
        labels = torch.cat([batch.labels for batch in read]).clamp(min=0)  # where there is none: any takes as long
        rows = torch.arange(size, device=images.device) % len(images)
        return Batch(images[rows], labels[rows], rows)

    # Loops

    def _speed(self, kind: Kind, seconds: float) -> Speed:
        """The speed with the largest batches for which there is time and memory, at most the study's own."""
        context = self._context
        config, evaluation = context.config, kind.what == "evaluate"
        section = config.teacher if kind.role == "teacher" else config.student
        wanted = config.compute.eval_batch_size if evaluation else section.batch_size
        if kind.what == "ask":
            wanted = config.student.batch_size if context.stored_views is None else config.compute.eval_batch_size
        least = FEWEST_IMAGES if self._of_images else max(wanted // 4, context.task.longest_sample(config))
        size = min(wanted, least)
        loop, model = self.loop(kind)
        deadline = time.perf_counter() + seconds
        found: Speed | None = None
        while True:
            batch, kept = self._batch(size, evaluation=evaluation), _Kept(model)
            during_first = kept.watching if kind.what == "train" else nullcontext
            turns = _Turns(batch, context.compute, during_first, TURNS if size == wanted else 1, deadline)
            try:
                with suppress(_Enough):
                    loop(turns)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or found is None:
                    raise
                return found
            activations = round(kept.nbytes * wanted / size)
            speed = Speed(*kind, batch.counted / turns.fastest, size, wanted, activations)
            # A larger batch is no slower by itself; where it was, something else was at work.
            found = replace(speed, per_second=max(speed.per_second, found.per_second if found else 0.0))
            turns_left = (deadline - time.perf_counter()) / turns.fastest
            batches_in_memory = MEMORY_SHARE * context.compute.free_memory() / max(1, activations)
            largest = int(min(wanted, size * turns_left / 2, wanted * batches_in_memory))
            if size == wanted or largest < min(wanted, 2 * size):
                return found
            size = largest

    def loop(self, kind: Kind) -> tuple[Loop, StudyModel]:
        """The study's own loop for a kind of work, to be given batches; and the model in it."""
        context, compute = self._context, self._context.compute
        owners: tuple[Teacher | Cell, ...] = context.plan.teachers if kind.role == "teacher" else context.plan.students
        owner = next(own for own in owners if context.model_section(own).name == kind.model)
        if kind.what == "ask":
            return self._ask, self._taught_by[1]
        model = self._model(owner)
        if kind.what == "evaluate":
            compute.place(model)
            layer, outputs = context.last_layer(owner), context.data.class_outputs
            return lambda batches: evaluate(
                model, batches, compute, centroids=True, layer=layer, class_outputs=outputs
            ), model
        trainee = new_trainee(context, owner, model=model)
        teaching = _AskedOnce(self._taught_by[0]) if is_distilled(owner) else None
        mixing = context.mixing(trainee.config, owner.seed)
        return lambda batches: train_group(
            [trainee], batches, compute=compute, teaching=teaching, mixing=mixing
        ), trainee.model

    def _ask(self, batches: Batches) -> None:
        compute = self._context.compute
        for batch in map(compute.put, batches.epoch(0)):
            self._taught_by[0].answers(batch, SharedInputs(batch.inputs, channels_last=compute.channels_last))

    @cached_property
    def _taught_by(self) -> tuple[Teaching, StudyModel]:
        """The first teacher, as it answers; of one that is known by its outputs, a model with as many."""
        context, first = self._context, self._context.plan.teachers[0]
        by_outputs = bool(context.config.teacher.outputs)
        model = context.compute.place(self._model(context.plan.cells[0] if by_outputs else first))
        model = model if by_outputs else answering_model(context, first, model)[0]
        return LiveTeachers({first.name: model}, compute_to_ask(context), fused=context.fused_loss), model

    def _model(self, owner: Teacher | Cell) -> StudyModel:
        """The architecture, with random weights, that sees images in the size that published weights would."""
        section = self._context.model_section(owner)
        model = self._context.new_model(section.without_weights(), 0)
        if section.pretrained and isinstance(model, ImageModel) and (size := published_size(section.name)) is not None:
            model.use_input(replace(model.input, size=size))
        return model


class _Enough(Exception):
    """Ends a loop in the middle of an epoch."""


class _Turns(Batches):
    """One batch, again and again until the time is up; how long the loop that asks for it took a turn.

    Args:
        batch: of the study.
        compute: of the study.
        during_first: entered for the first turn, which is not timed: it also plans.
        most: turns that are timed.
        deadline: by which they end, if one that is timed can.
    """

    def __init__(
        self,
        batch: Batch,
        compute: Compute,
        during_first: Callable[[], AbstractContextManager[Any]],
        most: int,
        deadline: float,
    ) -> None:
        super().__init__(len(batch.labels), batch_size=len(batch.labels))
        self._batch, self._compute, self._during_first = batch, compute, during_first
        self._most, self._deadline = most, deadline
        self.fastest = math.inf  # seconds; what else runs here only ever makes a turn slower

    def _load(self, parts: list[np.ndarray], shown: EpochViews) -> Iterator[Batch]:
        with self._during_first():
            yield self._batch
        for _ in range(self._most):
            started = self._now()
            yield self._batch
            took = self._now() - started
            self.fastest = min(self.fastest, took)
            if started + 2 * took > self._deadline:
                break
        raise _Enough

    def _now(self) -> float:
        device = self._compute.device
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        elif device.type == "mps":
            torch.mps.synchronize()
        return time.perf_counter()


def seconds_of_turn(loop: Loop, batch: Batch, compute: Compute) -> float:
    """Seconds that a loop takes for a batch: the fastest of three turns after one that is not timed, or of fewer."""
    turns = _Turns(batch, compute, nullcontext, TURNS, time.perf_counter() + SHORTEST)
    with suppress(_Enough):
        loop(turns)
    return turns.fastest


class _AskedOnce(Teaching):
    """A teacher that is asked in the first turn only: asking is a kind of work of its own."""

    def __init__(self, teaching: Teaching) -> None:
        self._teaching, self._known = teaching, dict[int, Mapping[str, Answer]]()

    def answers(self, batch: Batch, inputs: SharedInputs) -> Mapping[str, Answer]:
        """The answers to a batch of that size, which holds the same samples each time."""
        size = len(batch.labels)
        if size not in self._known:
            self._known = {size: self._teaching.answers(batch, inputs)}
        return self._known[size]


class _Kept:
    """Counts what autograd keeps for the backward pass, each storage once, parameters left out."""

    def __init__(self, model: StudyModel) -> None:
        self._known = {p.untyped_storage().data_ptr() for p in [*model.parameters(), *model.buffers()]}
        self.nbytes = 0

    def watching(self) -> AbstractContextManager[Any]:
        return torch.autograd.graph.saved_tensors_hooks(self._count, lambda kept: kept)

    def _count(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._known:
            self._known.add(storage.data_ptr())
            self.nbytes += storage.nbytes()
        return tensor
