"""The three views on smoothing and distillation side by side: the files that the report shows them from.

Müller et al. look at information erased in the teacher (compactness, mutual information), Shen et al. at the stability
of its answers, the paper at diffusion in the student. docs/views.md says how each number is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from tosmooth.advice.inheritance import inheritance_table, judge_inheritance
from tosmooth.advice.smoothing_views import judge_views
from tosmooth.analysis.compactness import within_class_compactness
from tosmooth.folder.paths import INHERITANCE_FILE, VIEWS_FILE, VIEWS_INFO_FILE
from tosmooth.folder.writing import write_csv, write_json
from tosmooth.study.context import Context
from tosmooth.study.diffusion import read_centroids
from tosmooth.study.plan import Cell, Teacher
from tosmooth.study.projection import choose_classes
from tosmooth.study.teacher_smoothing_views import teacher_views

CALIBRATION = ["cal/ece", "cal/ece_val", "test/nll", "val/nll"]
COLUMNS = [
    "role", "name", "teacher", "objective", "label_smoothing", "temperature", "teacher_seed", "seed", "compactness",
    "compactness_val", "stability", "mi_similar", "mi_dissimilar", "smoothness", *CALIBRATION,
]  # fmt: skip


def analyse_views(context: Context, done: Mapping[str, Cell], results: pd.DataFrame) -> None:
    """Write `views.csv`, `inheritance.csv` and `views.json` under `analysis/`. One process does this alone.

    Args:
        context: of the study.
        done: the finished cells.
        results: one row per cell, with test figures where they have been read.
    """
    temperatures = sorted({1.0, *context.config.student.temperatures})
    seen = {teacher.name: teacher_views(context, teacher, temperatures) for teacher in context.plan.teachers}
    rows = [_teacher_row(context, teacher, seen[teacher.name]) for teacher in context.plan.teachers]
    rows += [_student_row(context, cell, seen[cell.teacher]) for cell in done.values()]
    table = pd.DataFrame(rows).reindex(columns=COLUMNS)
    teachers = table[table.role == "teacher"]
    inheritance = inheritance_table(results, teachers)
    names = [context.data.classes[index] for index in choose_classes(context)]
    first = next(iter(seen.values()))
    analysis = context.directory.analysis
    write_csv(analysis / VIEWS_FILE, table)
    write_csv(analysis / INHERITANCE_FILE, inheritance)
    write_json(
        analysis / VIEWS_INFO_FILE,
        {
            "teachers": judge_views(teachers),
            "calibration": judge_inheritance(inheritance),
            "similar": names[:2],
            "dissimilar": [names[0], names[2]],
            "smoothness": {
                name: {f"{t:g}": found["smoothness"][f"{t:g}"] for t in temperatures} for name, found in seen.items()
            },
            **{key: first[key] for key in ("images", "mi_images", "mi_views", "mi_augmentation")},
        },
    )


def _teacher_row(context: Context, teacher: Teacher, seen: Mapping[str, Any]) -> dict[str, Any]:
    known = {key: seen[key] for key in ("stability", "mi_similar", "mi_dissimilar")}
    identity = {"role": "teacher", "name": teacher.name, "teacher": teacher.name, "temperature": None}
    seeds = {"teacher_seed": teacher.seed, "seed": teacher.seed, "label_smoothing": teacher.label_smoothing}
    return identity | seeds | known | {"smoothness": seen["smoothness"]["1"]} | _of_model(context, teacher)


def _student_row(context: Context, cell: Cell, seen: Mapping[str, Any]) -> dict[str, Any]:
    """A student; its smoothness is that of what its teacher tells it at its temperature."""
    identity = {"role": "student", "name": cell.name, "teacher": cell.teacher, "objective": cell.objective}
    grid = {"label_smoothing": cell.label_smoothing, "temperature": cell.temperature}
    seeds = {"teacher_seed": cell.teacher_seed, "seed": cell.seed}
    smoothness = {"smoothness": seen["smoothness"][f"{cell.temperature:g}"]}
    return identity | grid | seeds | smoothness | _of_model(context, cell)


def _of_model(context: Context, owner: Teacher | Cell) -> dict[str, Any]:
    """Compactness of its features on training and validation data, and its calibration."""
    record = context.read_record(owner) or {}
    found = {key: record.get(key) for key in CALIBRATION}
    for column, split in (("compactness", "train"), ("compactness_val", "val")):
        centroids = read_centroids(context, owner, split)
        several = centroids is not None and int((centroids.counts > 0).sum()) > 1
        found[column] = within_class_compactness(centroids) if centroids is not None and several else None
    return found
