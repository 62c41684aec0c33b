"""What a grid costs in time, memory, disk and network, from a few measured rates.

`docs/scaling.md` explains the model; `python -m benchmarks.scaling` holds it against measurements; and
`python -m benchmarks.cost_model` prints the plan of a grid of 100 students on ImageNet-21k with 64 GPUs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil

from benchmarks.common import Result, compute_of

FLOAT, HALF = 4, 2  # bytes


@dataclass(frozen=True)
class Model:
    """An architecture's size, and its speed on the hardware in question.

    Attributes:
        parameters: with its last layer.
        features: D, the width of its last layer's input.
        trained: images a second through one training step, alone on one device.
        asked: images a second forward only, as a frozen teacher.
    """

    parameters: float
    features: int
    trained: float
    asked: float


@dataclass(frozen=True)
class Grid:
    """A grid of students and the data they see.

    Attributes:
        images: N, of the training split.
        classes: K.
        image_bytes: of one image as it is stored.
        teachers: A, smoothing factors.
        cells: C, students a seed (α × T × objectives).
        seeds: S.
        teacher_epochs, student_epochs: passes over the images.
        views: V stored views of each image; 0 = teachers run live.
        decoded: images a second that one CPU core reads, decodes and augments.
    """

    images: float
    classes: int
    image_bytes: float
    teachers: int
    cells: int
    seeds: int
    teacher_epochs: int
    student_epochs: int
    views: int
    decoded: float


def state_bytes(model: Model, moments: int = 1) -> float:
    """Weights and what the optimiser remembers (SGD: 1 moment, AdamW: 2) of one model in training."""
    return FLOAT * (1 + moments) * model.parameters


def group_bytes(model: Model, students: int, alone: float, moments: int = 1) -> float:
    """Peak memory of a group on one device: one student's peak `alone`, and the state of the others."""
    return alone + (students - 1) * state_bytes(model, moments)


def cache_bytes(grid: Grid, teacher: Model) -> float:
    """Stored answers of all teachers: logits, or features where they are fewer."""
    return HALF * grid.teachers * grid.views * grid.images * min(grid.classes, teacher.features)


def checkpoint_bytes(model: Model, students: int, kept: int = 2, moments: int = 1) -> float:
    """On disk, for students in training at one time."""
    return kept * students * state_bytes(model, moments)


def result_bytes(model: Model, students: int) -> float:
    """On disk, of finished students: the best epoch's weights and the last one's."""
    return 2 * FLOAT * students * model.parameters


def all_reduce_bytes(model: Model, ranks: int) -> float:
    """Sent by each rank in one step of one model in training, by the ring algorithm."""
    return 2 * (ranks - 1) / ranks * FLOAT * model.parameters


def group_seconds(grid: Grid, student: Model, teacher: Model, students: int, cores: float) -> float:
    """One epoch of a group on one device with its CPU cores: loading and computing overlap, the slower one counts."""
    live = grid.teachers / teacher.asked if grid.views == 0 else 0.0
    computing = live + students / student.trained
    return grid.images * max(computing, 1 / (cores * grid.decoded))


@dataclass(frozen=True)
class Schedule:
    """How a grid runs on a cluster. Times in seconds; `read` in bytes a second over all devices."""

    group: int
    jobs: int
    teachers: float
    storing: float
    students: float
    waiting_for_images: float  # how many times longer an epoch takes than its computing
    read: float


def schedule(grid: Grid, student: Model, teacher: Model, devices: int, cores: float, group: int) -> Schedule:
    """Groups of `group` students fanned out over `devices`, each with that many CPU cores."""
    per_seed = ceil(grid.cells / group)
    jobs = grid.seeds * per_seed
    epoch = group_seconds(grid, student, teacher, group, cores)
    computing = group_seconds(grid, student, teacher, group, float("inf"))
    waves = ceil(jobs / devices)
    slowest_source = cores * grid.decoded
    teachers = grid.teacher_epochs * grid.images / min(teacher.trained, slowest_source)
    storing = grid.views * grid.images / min(teacher.asked, slowest_source)
    at_work = min(jobs, devices)
    return Schedule(
        group,
        jobs,
        ceil(grid.teachers / devices) * teachers,
        ceil(grid.teachers / devices) * storing,
        waves * grid.student_epochs * epoch,
        epoch / computing,
        at_work * grid.images * grid.image_bytes / epoch,
    )


# Assumed, not measured here: an H100 in bf16, and the usual 110 kB JPEG. 2 α × 10 T × 5 seeds = 100 students.
IMAGENET_21K = Grid(14_197_122, 21_841, 110e3, 2, 20, 5, 90, 90, 0, 130)
RESNET50 = Model(23.5e6 + 2048 * 21_841, 2048, 2_500, 8_000)
RESNET18 = Model(11.2e6 + 512 * 21_841, 512, 6_000, 18_000)
DEVICES, CORES = 64, 12.0


def main() -> None:
    grid, student, teacher = IMAGENET_21K, RESNET18, RESNET50
    title = f"ImageNet-21k, ResNet-50 → ResNet-18, 100 students, {DEVICES} GPUs with {CORES:g} CPU cores each"
    columns = ["students a group", "jobs", "teachers, days", "students, days", "slowed by images", "read, GB/s"]
    result = Result("cost_model", title, columns)
    for group in (20, 10, 4, 2, 1):
        plan = schedule(grid, student, teacher, DEVICES, CORES, group)
        days = [f"{seconds / 86400:.1f}" for seconds in (plan.teachers, plan.students)]
        result.add(group, plan.jobs, *days, f"{plan.waiting_for_images:.2f} ×", f"{plan.read / 1e9:.1f}")
    shared = max(grid.teachers / (DEVICES * teacher.trained), 1 / (DEVICES * CORES * grid.decoded))
    hours, one_view = grid.teacher_epochs * grid.images * shared / 3600, replace(grid, views=1)
    as_logits = replace(teacher, features=grid.classes)
    result.notes = [
        f"Both teachers with torchrun over all {DEVICES} GPUs: {hours:.1f} hours, and the exchange of gradients",
        f"Stored answers of both, one view: {cache_bytes(one_view, teacher) / 1e9:,.0f} GB as features, "
        f"{cache_bytes(one_view, as_logits) / 1e9:,.0f} GB as logits",
        f"Checkpoints of 100 students in training: {checkpoint_bytes(student, 100) / 1e9:,.0f} GB; weights of 100 "
        f"finished ones: {result_bytes(student, 100) / 1e9:,.0f} GB",
        f"Sent by each of 8 ranks in one step of a teacher: {all_reduce_bytes(teacher, 8) / 1e6:,.0f} MB",
    ]
    result.finish(compute_of())


if __name__ == "__main__":
    main()
