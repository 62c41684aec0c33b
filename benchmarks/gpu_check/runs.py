"""Short trainings: a group against its models alone, a stop, a process group, and memory that runs out."""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from rich.console import Console
from safetensors.torch import load_file
from torch import Tensor

from benchmarks.gpu_check.cases import SMALL, Student
from benchmarks.gpu_check.finding import Findings, Skipped, float32, in_fixed_order, on_card
from benchmarks.ours import Unsaved
from benchmarks.workload import default_grid
from tosmooth.config.schema import DataConfig, StudentConfig
from tosmooth.data.pipeline import ImagePipeline
from tosmooth.models.build import build_image_model
from tosmooth.recipes.reading import load_config
from tosmooth.study.context import Context
from tosmooth.study.progress import StudyProgress
from tosmooth.study.stages import train_grid
from tosmooth.training.compute import Compute
from tosmooth.training.loop import train_group
from tosmooth.training.loss_functions import distillation_from
from tosmooth.training.processes import leave_group
from tosmooth.training.teaching import LiveTeachers
from tosmooth.training.trainee import Share
from tosmooth.trial import train_and_resume

# Six students of 5 million parameters, which AdamW makes 60 MB each.
WIDE: dict[str, Any] = {
    "name": "wide",
    "data": {"source": "fashion_mnist_sample", "limit_train": 80, "limit_test": 40, "train_augmentation": "flip"},
    "teacher": {"model": {"name": "resnet8", "kwargs": {"stem_stride": 2}}, "epochs": 1, "batch_size": 32},
    "student": {
        "model": {"name": "resnet8", "width": 8, "kwargs": {"stem_stride": 2}}, "temperatures": [1, 2, 8],
        "seeds": [0], "controls": [], "epochs": 2, "batch_size": 32,
        "optimizer": {"name": "adamw", "learning_rate": 0.001},
    },
}  # fmt: skip


def trained(
    temperatures: Sequence[float], images: int, compute: Compute, **options: Any
) -> dict[float, dict[str, Tensor]]:
    """Students with dropout, trained as a group, with a last batch that is smaller; their states, by T."""
    work = default_grid(images)
    pipeline = ImagePipeline(DataConfig(train_augmentation="flip"), compute.device)
    config = StudentConfig(model="timm:test_efficientnet", epochs=1, batch_size=48, **options)
    batches = pipeline.training(work.split, batch_size=config.batch_size, seed=0)

    def student() -> Any:
        dropout = {"drop_rate": 0.3}
        return build_image_model("timm:test_efficientnet", 10, channels=1, image_size=28, kwargs=dropout, seed=0)

    group = [
        Unsaved(
            f"T{t:g}",
            student(),
            distillation_from("t", t, "hinton", 0.0),
            config,
            compute,
            0,
            len(batches),
            Path(),
            None,
            looks_first=True,
        )
        for t in temperatures
    ]
    teacher = compute.place(work.build("resnet8", 1))
    train_group(group, batches, compute=compute, teaching=LiveTeachers({"t": teacher}, compute))
    return {t: trainee.state().tensors for t, trainee in zip(temperatures, group, strict=True)}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


def alone(short: bool) -> Findings:
    """A student of a group is the student alone, bit for bit."""
    in_fixed_order()
    found, images, compute = Findings(), 128 if short else 1024, float32()
    group = trained([1.0, 8.0], images, compute)
    found.expect("the same bits in a group and alone", same(group[8.0], trained([8.0], images, compute)[8.0]))
    found.expect("the same bits again", same(group[1.0], trained([1.0, 8.0], images, compute)[1.0]))
    return found


def resume(short: bool) -> Findings:
    """Stopped and resumed, with dropout: the bits of a run without a stop."""
    if short:
        raise Skipped("left out of the short form; `tosmooth doctor` does the same")
    in_fixed_order(but_for_evaluation=True)
    found = Findings()
    with tempfile.TemporaryDirectory() as folder:
        found.hold(
            "largest difference of a model",
            train_and_resume(Path(folder)).largest_difference,
            most=0.0,
        )
    return found


def one_process(short: bool) -> Findings:
    """In a process group of one, a student is the student alone."""
    in_fixed_order()
    compute, found = float32(), Findings()
    dist.init_process_group(
        "nccl" if compute.device.type == "cuda" else "gloo", store=dist.HashStore(), rank=0, world_size=1
    )
    try:
        students = [Student(SMALL, compute, short=short) for _ in range(2)]
        students[1].trainee.forward = compute.in_step(students[1].trainee.model)
        rows = students[1].batch.counted
        share = Share(rows, *(torch.full((), float(n), device=compute.device) for n in (rows, 1)))
        for _ in range(3):
            students[0].step()
            students[1].trainee.step(students[1].inputs, students[1].batch.labels, students[1].said, share)
        found.expect("the same bits with and without it", torch.equal(*(s.weights() for s in students)))
    finally:
        leave_group()
    return found


class _Notes(StudyProgress):
    """Keeps what a study notes."""

    def __init__(self) -> None:
        super().__init__(Console(quiet=True))
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


def memory(short: bool) -> Findings:
    """A group that the card's memory does not hold is split, and ends with the same bits."""
    card, found = on_card(), Findings()
    in_fixed_order(but_for_evaluation=True)

    def train(folder: str) -> tuple[dict[str, dict[str, Tensor]], list[str]]:
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        notes = _Notes()
        with notes, Context.open(load_config(WIDE), Path(folder), notes) as context:
            train_grid(context)
            paths = {cell.name: context.folder(cell) / "model.safetensors" for cell in context.plan.cells}
            return {name: load_file(path) for name, path in paths.items()}, notes.said

    with tempfile.TemporaryDirectory() as roomy, tempfile.TemporaryDirectory() as tight:
        whole, _ = train(roomy)
        peak = torch.cuda.max_memory_reserved()
        found.add("MiB of six students", peak / 2**20)
        torch.cuda.set_per_process_memory_fraction(
            0.7 * peak / torch.cuda.get_device_properties(card.device).total_memory
        )
        split, said = train(tight)
    found.expect("the group was split", any("out of memory with" in text for text in said))
    found.expect("the same bits", all(same(weights, split[name]) for name, weights in whole.items()))
    return found
