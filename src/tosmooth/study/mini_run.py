"""A few real steps of a study, timed: batches of its data through its pipeline, its models on its device."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor

from tosmooth.config.schema import ModelConfig, TrainingConfig
from tosmooth.data.batches import Batch, Batches
from tosmooth.errors import DataError
from tosmooth.losses.objectives import SEQUENCE
from tosmooth.memory import is_out_of_memory
from tosmooth.models.build import published_size
from tosmooth.models.image_model import ImageModel
from tosmooth.models.study_model import StudyModel
from tosmooth.study.context import Context
from tosmooth.study.workload import Kind
from tosmooth.training.forward import SharedInputs
from tosmooth.training.teaching import LiveTeachers
from tosmooth.training.trainee import Trainee, distillation_from, label_smoothing_loss

FEWEST_IMAGES = 2  # batch normalisation wants more than one
READ_AT_ONCE = 16  # images, while loading is measured
REPEATS = 3
SHORTEST = 1.5  # seconds of reading, where a batch comes sooner
MEMORY_SHARE = 0.5  # of what is free, for activations
# Shares of the time of the mini-run.
LOADING, EVALUATION_LOADING, COMPUTING = 0.15, 0.08, {"train": 0.5, "ask": 0.12, "evaluate": 0.15}


@dataclass(frozen=True)
class Speed:
    """What was measured.

    Attributes:
        what: "read", "read for evaluation", "train", "ask" (a frozen teacher) or "evaluate".
        model: whose; empty of reading.
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


class MiniRun:
    """Measures a study.

    Args:
        context: of the study; not claimed, and nothing is written.
        seconds: about how long all of it may take.
    """

    def __init__(self, context: Context, seconds: float) -> None:
        self._context, self._seconds = context, seconds
        self._of_images = context.task.samples == "images"
        self._speeds: dict[Kind, Speed] = {}
        self._reading: dict[bool, Speed] = {}  # by whether it is for evaluation
        self._read: dict[bool, list[Batch]] = {}
        self._asked: _OneTeacher | None = None
        self.notes: list[str] = []

    def measure(self, kinds: Iterable[Kind]) -> list[Speed]:
        """Measure loading, and everything of `kinds`."""
        wanted = sorted(kinds)
        if not wanted:  # all is done
            return []
        self._note_load()
        self._load(evaluation=False, seconds=LOADING * self._seconds)
        self._load(evaluation=True, seconds=EVALUATION_LOADING * self._seconds)
        for kind in wanted:
            alike = sum(other.what == kind.what for other in wanted)
            self._speeds[kind] = self._speed(kind, COMPUTING[kind.what] * self._seconds / alike)
        scaled = [s for s in self._speeds.values() if s.what == "train" and s.batch < s.wanted]
        if scaled:
            smallest = min(scaled, key=lambda s: s.batch)
            self.notes.append(
                f"a step of {smallest.model} was measured with {smallest.batch} of {smallest.wanted} "
                f"{self._context.task.samples} and scaled up: whole batches took too long, or too much memory"
            )
        return [*self._reading.values(), *self._speeds.values()]

    def per_second(self, kind: Kind) -> float:
        """Samples a second of one kind of work."""
        return self._speeds[kind].per_second

    def loaded_per_second(self, *, evaluation: bool) -> float:
        """Samples a second that are read and augmented."""
        return self._reading[evaluation].per_second

    def activations(self, role: str, model: str) -> int:
        """Bytes that the backward pass of a whole batch needs of a model."""
        found = self._speeds.get(Kind("train", "teacher" if role == "teacher" else "student", model))
        return 0 if found is None else found.activation_bytes

    def _note_load(self) -> None:
        """Say so where other programs keep the processor busy: everything below comes out too slow then."""
        busy, cores = psutil.getloadavg()[0], psutil.cpu_count() or 1
        if busy > cores / 2:
            self.notes.append(
                f"this machine was busy before the mini-run began ({busy:.1f} programs at work, {cores} processors): "
                "times are longer than on an idle one"
            )

    # Reading

    def _batches(self, size: int, *, evaluation: bool) -> Batches:
        context = self._context
        if not evaluation:
            return context.pipeline.training(context.data.train, batch_size=size, seed=0)
        return context.pipeline.evaluation(context.data.train, batch_size=size)

    def _wanted(self, *, evaluation: bool) -> int:
        config = self._context.config
        return (
            config.compute.eval_batch_size if evaluation else max(config.teacher.batch_size, config.student.batch_size)
        )

    def _load(self, *, evaluation: bool, seconds: float) -> None:
        """How fast samples come, after the loader processes have started and their first batches are gone."""
        wanted = self._wanted(evaluation=evaluation)
        size = min(wanted, READ_AT_ONCE) if self._of_images else wanted
        batches = self._batches(size, evaluation=evaluation)
        ahead = 2 * self._context.config.data.workers + 1  # read before anyone asks
        begun, started, numbers, kept = time.perf_counter(), 0.0, [0, 0], list[Batch]()
        for epoch in count():
            for batch in batches.epoch(epoch):
                now = time.perf_counter()
                numbers[0] += 1
                if numbers[0] == ahead:
                    started = now
                elif numbers[0] > ahead:
                    numbers[1] += batch.counted
                if sum(len(b.labels) for b in kept) < wanted and not batch.placeholder:
                    kept.append(batch)
                enough = numbers[1] >= wanted and now - started >= SHORTEST
                enough = enough or (numbers[0] > ahead and now - started >= seconds)
                if enough or (numbers[1] and now - begun > 2 * seconds):
                    break
            else:
                if epoch > 10_000 or not len(batches):
                    raise DataError("nothing of the training split could be read")
                continue
            break
        elapsed = max(1e-9, time.perf_counter() - started)
        self._read[evaluation] = kept
        what = "read for evaluation" if evaluation else "read"
        self._reading[evaluation] = Speed(what, "", "", numbers[1] / elapsed, size, wanted)

    def _batch(self, size: int, *, evaluation: bool) -> Batch:
        """A real batch of about so many samples; of images, those that were read, again and again if they must."""
        if not self._of_images:
            return next(self._batches(size, evaluation=evaluation).epoch(0))
        read = self._read[evaluation]
        images = torch.cat([batch.inputs for batch in read if isinstance(batch.inputs, Tensor)])
        labels = torch.cat([batch.labels for batch in read])
        rows = torch.arange(size, device=images.device) % len(images)
        return Batch(images[rows], labels[rows], rows)

    # Computing

    def _speed(self, kind: Kind, seconds: float) -> Speed:
        context, evaluation = self._context, kind.what == "evaluate"
        section = context.config.teacher if kind.role == "teacher" else context.config.student
        model_section = next(m for m in _models(section) if m.name == kind.model)
        work, model = self._work(kind, section, model_section)
        wanted = context.config.compute.eval_batch_size if evaluation else section.batch_size
        if kind.what == "ask":
            wanted = (
                context.config.compute.eval_batch_size if context.stored_views else context.config.student.batch_size
            )
        # A batch of sentences must hold the longest.
        size = min(wanted, FEWEST_IMAGES if self._of_images else max(wanted // 4, context.config.data.text.max_length))
        deadline = time.perf_counter() + seconds
        found: Speed | None = None
        while True:
            kept = _Kept(model) if kind.what == "train" else None
            try:
                batch = context.compute.put(self._batch(size, evaluation=evaluation))
                self._timed(work, batch, kept)  # the first of a size also plans
                took = self._timed(work, batch)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or found is None:
                    raise
                return found
            activations = round(kept.nbytes * wanted / size) if kept is not None else 0
            larger = min(wanted, 2 * size)
            in_time = time.perf_counter() + 2 * took * larger / size < deadline
            fits = activations * larger / wanted <= MEMORY_SHARE * context.compute.free_memory()
            last = size == wanted or not (in_time and fits)
            for _ in range(REPEATS - 1 if last else 0):
                if time.perf_counter() + took > deadline:
                    break
                took = min(took, self._timed(work, batch))  # what else runs here only ever makes it slower
            speed = Speed(kind.what, kind.role, kind.model, batch.counted / took, size, wanted, activations)
            # A larger batch is no slower by itself; where it was, something else was at work.
            found = replace(speed, per_second=max(speed.per_second, found.per_second if found else 0.0))
            if last:
                return found
            size = larger

    def _work(
        self, kind: Kind, section: TrainingConfig, model_section: ModelConfig
    ) -> tuple[Callable[[Batch], None], StudyModel]:
        """One step of a kind of work on a batch."""
        context, compute = self._context, self._context.compute

        def inputs_of(batch: Batch) -> SharedInputs:
            return SharedInputs(batch.inputs, channels_last=compute.channels_last)

        if kind.what == "ask":
            teaching = self._teacher()
            return lambda batch: _ignore(teaching.answers(batch, inputs_of(batch))), teaching.model
        model = self._model(model_section)
        if kind.what == "evaluate":
            compute.place(model).eval()

            def evaluate(batch: Batch) -> None:
                with torch.no_grad(), compute.autocast():
                    model(batch.inputs)

            return evaluate, model
        student, objective = context.config.student, context.config.student.objectives[0]
        is_student = kind.role == "student"
        loss = label_smoothing_loss(0.1)
        if is_student and objective != SEQUENCE:
            loss = distillation_from(
                "teacher",
                student.temperatures[0],
                objective,
                student.hard_weight,
                label_smoothing=student.label_smoothing,
                options=student.objective_options.get(objective),
                topk=student.topk,
            )
        trainee = Trainee(
            name=kind.model,
            model=model,
            loss_function=loss,
            config=section,
            compute=compute,
            seed=0,
            steps_per_epoch=len(context.training_batches(section, 0)),
            folder=Path(),  # only written at the end of an epoch, to which this never comes
            select_by=None,
            fused=context.fused_loss and is_student,
        )
        trainee.model.train()
        answered: dict[int, Mapping[str, Any]] = {}

        def step(batch: Batch) -> None:
            inputs = inputs_of(batch)
            if is_student and id(batch) not in answered:
                answered.clear()
                answered[id(batch)] = self._answers(batch)
            trainee.step(inputs, batch.labels, answered.get(id(batch), {}))

        return step, trainee.model

    def _answers(self, batch: Batch) -> Mapping[str, Any]:
        """A teacher's answers, asked before the clock runs: asking is a kind of work of its own."""
        return self._teacher().answers(
            batch, SharedInputs(batch.inputs, channels_last=self._context.compute.channels_last)
        )

    def _teacher(self) -> _OneTeacher:
        if self._asked is None:
            context = self._context
            model = context.compute.place(self._model(context.config.teacher.model))
            self._asked = _OneTeacher(model, context)
        return self._asked

    def _model(self, section: ModelConfig) -> StudyModel:
        """The architecture, with random weights, that sees images in the size that published weights would."""
        model = self._context.new_model(section.without_weights(), 0)
        if section.pretrained and isinstance(model, ImageModel) and (size := published_size(section.name)) is not None:
            model.use_input(replace(model.input, size=size))
        return model

    def _timed(self, work: Callable[[Batch], None], batch: Batch, kept: _Kept | None = None) -> float:
        self._wait()
        started = time.perf_counter()
        with kept.watching() if kept is not None else nullcontext():
            work(batch)
        self._wait()
        return time.perf_counter() - started

    def _wait(self) -> None:
        device = self._context.compute.device
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        elif device.type == "mps":
            torch.mps.synchronize()


class _OneTeacher(LiveTeachers):
    """One live teacher under the name that the mini-run's losses use."""

    def __init__(self, model: StudyModel, context: Context) -> None:
        super().__init__({"teacher": model}, context.compute, fused=context.fused_loss)
        self.model = model


class _Kept:
    """Counts what autograd keeps for the backward pass, each storage once, parameters left out."""

    def __init__(self, model: StudyModel) -> None:
        self._known = {p.untyped_storage().data_ptr() for p in [*model.parameters(), *model.buffers()]}
        self.nbytes = 0

    def watching(self) -> Any:
        return torch.autograd.graph.saved_tensors_hooks(self._count, lambda kept: kept)

    def _count(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._known:
            self._known.add(storage.data_ptr())
            self.nbytes += storage.nbytes()
        return tensor


def _models(section: TrainingConfig) -> list[ModelConfig]:
    return list(getattr(section, "all_models", [section.model]))


def _ignore(answers: Mapping[str, Any]) -> None:
    """Answers are for students; here only the time counts."""
