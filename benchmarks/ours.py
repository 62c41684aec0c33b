"""The grid on tosmooth's own engine, and the floors it is held against."""

from __future__ import annotations

import copy
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from benchmarks.common import synchronize
from benchmarks.decoding import decoded_once
from benchmarks.workload import TEACHERS, TEMPERATURES, Workload
from tosmooth.config.schema import DataConfig, StudentConfig
from tosmooth.data.base import TensorSplit
from tosmooth.data.files import FileSplit
from tosmooth.data.pipeline import ImagePipeline
from tosmooth.data.views import EachView, StoredViews
from tosmooth.training.compute import Compute
from tosmooth.training.forward import SharedInputs
from tosmooth.training.loop import train_group
from tosmooth.training.loss_functions import LossFunction, distillation_from
from tosmooth.training.teacher_cache import CachedTeacher, Stamp, TeacherCache, weights_digest
from tosmooth.training.teaching import CachedTeachers, LiveTeachers, Teaching, fill
from tosmooth.training.trainee import Trainee

Cells = Sequence[tuple[str, float]]
GRID: Cells = [(teacher, temperature) for teacher in TEACHERS for temperature in TEMPERATURES]


class Unsaved(Trainee):
    """A student that is not written to disk at the end: the peers' loops here write nothing either."""

    def end_epoch(self, epoch: int, metrics: Mapping[str, float], samples_per_second: float | None) -> None:
        """Nothing."""


class Ours:
    """The engine on one workload.

    Args:
        work: data and models.
        compute: device and precision.
        workers: loader processes, of images in files.

    Attributes:
        ready: the images as a later study finds them: those of files are decoded, once `fill` has done it.
    """

    def __init__(self, work: Workload, compute: Compute, workers: int = 0) -> None:
        self.work, self.compute = work, compute
        data = DataConfig(train_augmentation=work.augmentation, image_size=work.side, workers=workers)
        self.pipeline = ImagePipeline(data, compute.device)
        self.ready: TensorSplit | FileSplit = work.split
        self.teachers = {name: compute.place(copy.deepcopy(model)) for name, model in work.teachers.items()}
        self.folder = Path(tempfile.mkdtemp(prefix="tosmooth-bench-"))
        self.stored: Teaching | None = None

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def live(self, cells: Cells = GRID, split: TensorSplit | FileSplit | None = None) -> None:
        """The cells with their teachers running; images from a split that may lie ready, None: as they come."""
        needed = {teacher for teacher, _ in cells}
        teaching = LiveTeachers({name: self.teachers[name] for name in needed}, self.compute)
        losses = [distillation_from(t, temperature, "hinton", 0.0) for t, temperature in cells]
        self._train(cells, losses, teaching, split=split)

    def fill(self) -> None:
        """Decode image files, and store both teachers' logits on two views: both outcomes of a flip, or two crops."""
        if self.work.files is not None:
            self.ready, _ = decoded_once(self.work.files, self.folder / f"images-{time.perf_counter_ns()}")
        found = {}
        for name, model in self.teachers.items():
            digest = weights_digest(model)
            count = len(self.work.labels)
            stamp = Stamp(
                model.name, digest, "bench", self.work.augmentation, "bench", None, 2, 0, count, "logits", 10,
                self.compute.teacher_precision,
            )  # fmt: skip
            folder = self.folder / f"{name}-{time.perf_counter_ns()}"
            cache = TeacherCache(folder, stamp, batch_size=min(500, 4 * self.work.batch_size))
            views = EachView(2, 0)
            batches = self.pipeline.in_order(self.ready, batch_size=cache.batch_size, views=views)
            fill(cache, model, batches, self.compute)
            found[name] = CachedTeacher(cache)
        self.stored = CachedTeachers(found)

    def cached(self, cells: Cells = GRID) -> None:
        """The cells from stored logits."""
        losses = [distillation_from(t, temperature, "hinton", 0.0) for t, temperature in cells]
        self._train(cells, losses, self.stored, StoredViews(2, 0, seed=0), self.ready)

    def _train(
        self,
        cells: Cells,
        losses: Sequence[LossFunction],
        teaching: Teaching | None,
        views: StoredViews | None = None,
        split: TensorSplit | FileSplit | None = None,
    ) -> None:
        work = self.work
        batches = self.pipeline.training(split or work.split, batch_size=work.batch_size, seed=0, views=views)
        config = StudentConfig(
            model=work.student, epochs=work.epochs, batch_size=work.batch_size, optimizer=work.optimizer,
            schedule=work.schedule,
        )  # fmt: skip
        group = [
            Unsaved(
                f"{teacher}-T{temperature:g}", work.build(work.student, 0), loss, config, self.compute, 0, len(batches),
                self.folder / f"{teacher}-T{temperature:g}", None,
            )
            for (teacher, temperature), loss in zip(cells, losses, strict=True)
        ]  # fmt: skip
        train_group(group, batches, compute=self.compute, teaching=teaching)

    def parts(self, steps: int = 60) -> tuple[float, float]:
        """Seconds of one teacher's forward pass, a, and of one student's step, b, each measured alone."""
        work = self.work
        batch = next(self.pipeline.training(work.split, batch_size=work.batch_size, seed=0).epoch(0))
        inputs = SharedInputs(batch.inputs, channels_last=self.compute.channels_last)
        name = TEACHERS[0]
        live = LiveTeachers({name: self.teachers[name]}, self.compute)
        said = live.answers(batch, inputs)
        config = StudentConfig(model=work.student, epochs=1, batch_size=work.batch_size, optimizer=work.optimizer)
        loss = distillation_from(name, 2.0, "hinton", 0.0)
        student = Trainee(
            "part", work.build(work.student, 0), loss, config, self.compute, 0, 10**6, self.folder / "part", None
        )
        student.model.train()
        forward = _seconds(lambda: live.answers(batch, inputs), steps)
        return forward, _seconds(lambda: student.step(inputs, batch.labels, said), steps)


def plain_cross_entropy(ours: Ours, students: int = 8) -> None:
    """The floor: a minimal hand-written loop, no teacher, on images that lie ready in memory and are prepared once."""
    work, compute = ours.work, ours.compute
    batches = ours.pipeline.training(ours.ready, batch_size=work.batch_size, seed=0)
    models = [compute.place(work.build(work.student, 0)).train() for _ in range(students)]
    optimizers = [
        torch.optim.SGD(
            model.parameters(), lr=work.optimizer.learning_rate, momentum=0.9, nesterov=True,
            weight_decay=work.optimizer.weight_decay, fused=True,
        )
        for model in models
    ]  # fmt: skip
    for epoch in range(work.epochs):
        for batch in batches.epoch(epoch):
            images = models[0].prepare(batch.inputs).contiguous(memory_format=torch.channels_last)
            for model, optimizer in zip(models, optimizers, strict=True):
                with compute.autocast():
                    logits = model.classify(images)
                loss = nn.functional.cross_entropy(logits.float(), batch.labels)
                loss.backward()
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)


def _seconds(call: Callable[[], object], steps: int) -> float:
    for _ in range(3):
        call()
    synchronize()
    started = time.perf_counter()
    for _ in range(steps):
        call()
    synchronize()
    return (time.perf_counter() - started) / steps
