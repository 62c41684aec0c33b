"""From a configuration to the work: teachers, cells of the grid, and the groups that train together.

Names say what a model is, not where it stands in the grid, so that they stay when the grid grows. The students of the
first teacher seed go without its number: a study that was begun with one teacher seed keeps their names.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from tosmooth.config import StudyConfig


@dataclass(frozen=True)
class Teacher:
    """One teacher of the study."""

    name: str
    label_smoothing: float
    seed: int
    checkpoint: Path | None


@dataclass(frozen=True)
class Cell:
    """One student of the grid: (teacher α, teacher seed, T, objective, student model, seed)."""

    name: str
    teacher: str
    label_smoothing: float
    teacher_seed: int
    temperature: float
    objective: str
    student: str
    seed: int


@dataclass(frozen=True)
class Plan:
    """All teachers, and the cells in groups: one group per student seed, in the order they run."""

    teachers: tuple[Teacher, ...]
    groups: tuple[tuple[Cell, ...], ...]

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All cells, group after group."""
        return tuple(cell for group in self.groups for cell in group)


def path_safe(name: str) -> str:
    """A model's name as part of a folder name: `timm:resnet18.a1_in1k` → `timm-resnet18.a1_in1k`."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")


def objective_label(objective: str, options: Mapping[str, Any]) -> str:
    """An objective with its options as part of a folder name: `dkd-alpha1-beta4`; without options, its name alone.

    Other options are another loss, and must never take over the students of these.
    """
    if not options:
        return objective
    ordered = sorted(options.items())
    if all(isinstance(value, int | float) and not isinstance(value, bool) for _, value in ordered):
        return "-".join([objective, *(f"{key}{float(value):.12g}" for key, value in ordered)])
    return f"{objective}-{hashlib.sha256(json.dumps(ordered, default=str).encode()).hexdigest()[:8]}"


def make_plan(config: StudyConfig) -> Plan:
    """The grid in a fixed order: seed, objective, teacher seed, α, T. Every student seed meets every teacher."""
    teachers = tuple(
        Teacher(f"a{alpha:g}-s{seed}", alpha, seed, config.teacher.checkpoints.get(alpha))
        for seed, alpha in product(config.teacher.seeds, config.teacher.label_smoothing)
    )
    student, first = config.student, config.teacher.seeds[0]
    labels = {name: objective_label(name, student.objective_options.get(name, {})) for name in student.objectives}
    groups = tuple(
        tuple(
            Cell(
                name=f"{labels[objective]}-a{teacher.label_smoothing:g}-T{temperature:g}"
                f"-{path_safe(student.model.name)}-s{seed}" + ("" if teacher.seed == first else f"-t{teacher.seed}"),
                teacher=teacher.name,
                label_smoothing=teacher.label_smoothing,
                teacher_seed=teacher.seed,
                temperature=temperature,
                objective=objective,
                student=student.model.name,
                seed=seed,
            )
            for objective, teacher, temperature in product(student.objectives, teachers, student.temperatures)
        )
        for seed in student.seeds
    )
    return Plan(teachers, groups)
