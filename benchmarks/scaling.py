"""Time and memory as cells, classes and images grow: `python -m benchmarks.scaling`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from benchmarks.common import Result, arguments, compute_of, synchronize
from benchmarks.cost_model import IMAGENET_21K, Model, all_reduce_bytes, cache_bytes, checkpoint_bytes, group_bytes
from benchmarks.memory import in_process, peak_extra
from benchmarks.ours import Ours, Unsaved
from benchmarks.traffic import traffic
from benchmarks.workload import TEACHERS, default_grid, heavy_grid
from tosmooth.analysis.diffusion import diffusion_index
from tosmooth.config.schema import StudentConfig
from tosmooth.training.checkpoint import CheckpointStore, Position
from tosmooth.training.forward import SharedInputs
from tosmooth.training.loss_functions import label_smoothing_loss
from tosmooth.training.teacher_cache import Stamp


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


def checkpoint(students: int) -> dict[str, Any]:
    """Seconds and bytes of one checkpoint of a group of ResNet-18s with momentum."""
    work, compute = heavy_grid("torchvision:resnet18", 1), compute_of()
    ours = Ours(default_grid(16), compute)
    config, loss = StudentConfig(model=work.student, epochs=1, batch_size=16), label_smoothing_loss(0.0)
    group = [
        Unsaved(str(i), work.build(work.student, i), loss, config, compute, 0, 99, ours.folder / str(i), None)
        for i in range(students)
    ]
    inputs = SharedInputs(work.images.to(compute.device), channels_last=True)
    for trainee in group:
        trainee.step(inputs, work.labels.to(compute.device), {})
    folder = ours.folder / "checkpoints"
    started = time.perf_counter()
    CheckpointStore(folder).write("group", Position(1), ((trainee.name, trainee.state()) for trainee in group))
    seconds = time.perf_counter() - started
    found = {"seconds": seconds, "bytes": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())}
    ours.close()
    return found | {"parameters": sum(p.numel() for p in group[0].model.parameters())}


def eta_cost(classes: int) -> dict[str, Any]:
    """Seconds of η of one student, 512 features."""
    students = [torch.randn(classes, 512, dtype=torch.float64) for _ in range(2)]
    mask = torch.eye(classes, dtype=torch.bool).roll(1, 1)
    started = time.perf_counter()
    diffusion_index(*students, mask)
    return {"seconds": time.perf_counter() - started}


CASES: dict[str, Callable[..., dict[str, Any]]] = {
    "group": group_memory, "grid": grid_time, "classes": class_cost, "checkpoint": checkpoint, "eta": eta_cost,
    "traffic": traffic,
}  # fmt: skip


def case(what: str, **arguments: int) -> dict[str, Any]:
    """One measurement, in a process of its own."""
    return CASES[what](**arguments)


def main() -> None:
    options = arguments(__doc__ or "", images=1500)
    result = Result("scaling", "Time and memory as the grid grows", ["quantity", "measured", "predicted", "ratio"])

    def measured(what: str, **arguments: int) -> dict[str, Any]:
        return in_process("benchmarks.scaling", what=what, **arguments)

    def add(quantity: str, value: float, predicted: float | None = None) -> None:
        result.add(quantity, value, predicted, None if predicted is None else value / predicted)

    alone, eight = (measured("group", students=n) for n in (1, 8))
    resnet18 = Model(alone["parameters"], 512, 0, 0)
    add("peak MiB of one ResNet-18 student", alone["bytes"] / 2**20)
    add("peak MiB of a group of 8", eight["bytes"] / 2**20, group_bytes(resnet18, 8, alone["bytes"]) / 2**20)

    few, more, many = (measured("grid", cells=c, images=options.images)["seconds"] for c in (2, 6, 16))
    each = (more - few) / 4  # a student; what is left are the teachers and the data
    add(f"seconds of a live grid of 2 cells, {options.images} images", few)
    add(f"seconds of a live grid of 6 cells, {options.images} images", more)
    add(f"seconds of a live grid of 16 cells, {options.images} images", many, few + 14 * each)
    small, large = (measured("grid", cells=8, images=n)["seconds"] for n in (1000, 4000))
    add("seconds of 8 cells on 1000 images", small)
    add("seconds of 8 cells on 4000 images", large, 4 * small)

    for classes in (10, 1_000, 20_000):
        add(
            f"milliseconds of the loss of a batch of 128, {classes} classes",
            1e3 * measured("classes", classes=classes)["seconds"],
        )
    thousand, eight_thousand = (measured("eta", classes=classes)["seconds"] for classes in (1_000, 8_000))
    add("seconds of η of one student, 1000 classes", thousand)
    add("seconds of η of one student, 8000 classes", eight_thousand, 64 * thousand)

    saved = measured("checkpoint", students=8)
    add("MB of a checkpoint of 8 students", saved["bytes"] / 1e6, checkpoint_bytes(resnet18, 8, kept=1) / 1e6)
    add("seconds to write it", saved["seconds"])
    sent = measured("traffic", ranks=2)
    ring = all_reduce_bytes(Model(sent["parameters"], 512, 0, 0), 2)
    add("MB sent by each of 2 processes in a step of one ResNet-18", sent["bytes"] / 1e6, ring / 1e6)
    for images, classes in ((50_000, 100), (1_281_167, 1_000), (14_197_122, 21_841)):
        stamp = Stamp("", "", "", "", "", None, 8, 0, images, "logits", classes, "float32")
        grid = replace(IMAGENET_21K, images=images, classes=classes, teachers=1, views=8)
        predicted = cache_bytes(grid, Model(0, classes, 0, 0))
        add(
            f"GB of cached logits of a teacher, 8 views, {images:,} images, {classes:,} classes",
            stamp.nbytes / 1e9,
            predicted / 1e9,
        )
    result.finish(compute_of())


if __name__ == "__main__":
    main()
