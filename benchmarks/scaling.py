"""Time and memory as cells, classes and images grow: `python -m benchmarks.scaling`."""

from __future__ import annotations

import time
from typing import Any

import torch

from benchmarks.common import Result, arguments, compute_of, synchronize
from benchmarks.memory import in_process, peak_extra
from benchmarks.ours import Ours, Unsaved
from benchmarks.workload import TEACHERS, default_grid, heavy_grid
from tosmooth.config import StudentConfig
from tosmooth.training.inputs import SharedInputs
from tosmooth.training.teacher_cache import Stamp
from tosmooth.training.trainee import label_smoothing_loss


def group_memory(students: int) -> dict[str, Any]:
    """Peak bytes of a group of ResNet-18s at 96 px taking three steps in turn, building included."""
    work, compute = heavy_grid("torchvision:resnet18", 1), compute_of()
    ours = Ours(default_grid(16), compute)
    config = StudentConfig(model=work.student, epochs=1, batch_size=16)
    loss, folder = label_smoothing_loss(0.0), ours.folder
    warm = work.build(work.student, 0)
    parameters = sum(p.numel() for p in warm.parameters())

    def run() -> None:
        group = [
            Unsaved(str(i), work.build(work.student, i), loss, config, compute, 0, 99, folder / str(i), None)
            for i in range(students)
        ]
        inputs = SharedInputs(work.images.to(compute.device), channels_last=True)
        for _ in range(3):
            for trainee in group:
                trainee.step(inputs, work.labels.to(compute.device), {})

    extra = peak_extra(run, compute.device)
    ours.close()
    return {"bytes": extra, "parameters": parameters}


def grid_time(cells: int, images: int) -> dict[str, Any]:
    """Seconds of a live grid of that many temperatures of two teachers."""
    ours = Ours(default_grid(images), compute_of())
    chosen = [(teacher, 1.0 + i) for i in range(-(-cells // 2)) for teacher in TEACHERS][:cells]
    ours.live(chosen[:1])
    started = time.perf_counter()
    ours.live(chosen)
    ours.close()
    return {"seconds": time.perf_counter() - started}


def class_cost(classes: int) -> dict[str, Any]:
    """Seconds of one distillation loss, forward and backward, at batch 128."""
    from tosmooth.losses.distillation import distillation_loss

    device = compute_of().device
    student = torch.randn(128, classes, device=device, requires_grad=True)
    teacher = torch.randn(128, classes, device=device)
    for _ in range(3):
        distillation_loss(student, teacher, 2.0).backward()
    synchronize()
    started = time.perf_counter()
    for _ in range(10):
        distillation_loss(student, teacher, 2.0).backward()
    synchronize()
    return {"seconds": (time.perf_counter() - started) / 10}


def case(what: str, **arguments: int) -> dict[str, Any]:
    """One measurement, in a process of its own."""
    return {"group": group_memory, "grid": grid_time, "classes": class_cost}[what](**arguments)


def main() -> None:
    options = arguments(__doc__ or "", images=1500)
    result = Result("scaling", "Time and memory as the grid grows", ["quantity", "value", "per unit"])
    alone, eight = (in_process("benchmarks.scaling", what="group", students=n) for n in (1, 8))
    grown, state = eight["bytes"] - alone["bytes"], 7 * 2 * 4 * alone["parameters"]
    result.add("peak MiB of one ResNet-18 student", alone["bytes"] / 2**20, None)
    result.add("peak MiB of a group of 8", eight["bytes"] / 2**20, None)
    result.add("growth / parameters and momentum of 7 more", grown / state, None)
    for cells in (1, 4, 16):
        seconds = in_process("benchmarks.scaling", what="grid", cells=cells, images=options.images)["seconds"]
        result.add(
            f"seconds of a live grid of {cells} cells, {options.images} images",
            seconds,
            f"{seconds / cells:.3g} a cell",
        )
    for images in (1000, 4000):
        seconds = in_process("benchmarks.scaling", what="grid", cells=8, images=images)["seconds"]
        result.add(
            f"seconds of 8 cells on {images} images", seconds, f"{1e6 * seconds / images / 8:.3g} µs an image and cell"
        )
    for classes in (10, 1_000, 20_000):
        seconds = in_process("benchmarks.scaling", what="classes", classes=classes)["seconds"]
        result.add(f"milliseconds of the loss of a batch of 128, {classes} classes", 1e3 * seconds, None)
    for images, classes in ((50_000, 100), (1_281_167, 1_000), (14_197_122, 21_841)):
        stamp = Stamp("", "", "", "", "", None, 8, 0, images, "logits", classes, "float32")
        result.add(
            f"GB of cached logits, 8 views, {images:,} images, {classes:,} classes", stamp.nbytes / 1e9, "a teacher"
        )
    result.finish(compute_of())


if __name__ == "__main__":
    main()
