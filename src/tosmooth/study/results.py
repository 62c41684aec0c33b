"""The tidy result tables of a study, and how to load them again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from tosmooth.advice.blocks import Correct
from tosmooth.errors import StudyError
from tosmooth.folder.columns import AGREEMENT, CONVERGENCE, COSTS
from tosmooth.folder.judged import read_correct
from tosmooth.folder.paths import LEARNING_RATES_FILE
from tosmooth.folder.sums import remove_kept
from tosmooth.folder.writing import write_csv
from tosmooth.study.context import Context
from tosmooth.study.costs import agreement_with_teacher
from tosmooth.study.learning_rates import trial_table
from tosmooth.study.plan import Cell
from tosmooth.study.separation import read_separation

ETAS = {
    "diffusion/eta_s1": ("train", False, "eta_s1"),
    "diffusion/eta_s2": ("train", False, "eta_s2"),
    "diffusion/eta_s1_debiased": ("train", True, "eta_s1"),
    "diffusion/eta_s2_debiased": ("train", True, "eta_s2"),
    "diffusion/eta_s1_val": ("val", False, "eta_s1"),
    "diffusion/eta_s2_val": ("val", False, "eta_s2"),
    "diffusion/errors_s1": ("val", False, "errors_s1"),
    "diffusion/errors_s2": ("val", False, "errors_s2"),
}
SEPARATIONS = ("diffusion/d_prime_s1", "diffusion/d_prime_s2")


def finished_cells(context: Context, cells: Sequence[Cell] | None = None) -> dict[str, Cell]:
    """The cells that were trained to the end, by name, in the order of the plan; None: of the grid."""
    records = ((cell, context.read_record(cell)) for cell in (context.plan.cells if cells is None else cells))
    return {cell.name: cell for cell, record in records if record is not None and record["status"] == "done"}


def require_finished(context: Context) -> dict[str, Cell]:
    """The same, of which there must be some.

    Raises:
        StudyError: there are none.
    """
    done = finished_cells(context)
    if not done:
        raise StudyError("no student was trained to the end:\n" + "\n".join(failures(context)))
    return done


def failures(context: Context) -> list[str]:
    """Why each student that failed did, controls included."""
    records = (context.read_record(cell) or {} for cell in context.plan.kept)
    return [record["failure"] for record in records if record.get("status") == "failed"]


def teacher_table(context: Context) -> pd.DataFrame:
    """One row per teacher."""
    rows = []
    for teacher in context.plan.teachers:
        record = context.read_record(teacher) or {"status": "missing"}
        identity = {"teacher": teacher.name, "label_smoothing": teacher.label_smoothing, "seed": teacher.seed}
        rows.append(identity | record)
    identity_columns = ["teacher", "label_smoothing", "seed", "status", "selected_epoch", "selection", "parameters"]
    costs = [name for name in COSTS if name != AGREEMENT]  # with whom?
    return pd.DataFrame(rows).reindex(columns=[*identity_columns, *context.task.columns, *costs])


def cell_table(context: Context, diffusion: pd.DataFrame) -> pd.DataFrame:
    """One row per cell: who it is, how it ended, its metrics and its diffusion."""
    table = pd.DataFrame(_row_of(context, cell) for cell in context.plan.cells)
    separations = {cell.name: read_separation(context, cell) for cell in context.plan.cells}
    for column in SEPARATIONS:
        table[column] = [separations[name].get(column.removeprefix("diffusion/")) for name in table.cell]
    table[AGREEMENT] = [agreement_with_teacher(context, cell) for cell in context.plan.cells]
    for column, (split, debiased, quantity) in ETAS.items():
        if quantity not in diffusion:
            continue
        chosen = diffusion[
            (diffusion.split == split) & (diffusion.normalisation == "mean_distance") & (diffusion.debiased == debiased)
        ]
        table[column] = table.cell.map(chosen.set_index("cell")[quantity])
    return table.reindex(columns=[*_IDENTITY, *context.task.columns, *CONVERGENCE, *ETAS, *SEPARATIONS, *COSTS])


_IDENTITY = (
    "cell", "objective", "label_smoothing", "temperature", "student", "seed", "teacher",
    "teacher_seed", "learning_rate", "status", "failure", "selected_epoch", "selection", "parameters",
)  # fmt: skip


def _row_of(context: Context, cell: Cell) -> dict[str, Any]:
    identity = cell.columns | {"learning_rate": context.config.student.peak_rate(cell.rate)}
    return identity | (context.read_record(cell) or {"status": "missing"})


def standing_table(context: Context) -> pd.DataFrame:
    """One row per cell as it stands: the columns of `cell_table` that need no analysis."""
    rows = [_row_of(context, cell) for cell in context.plan.cells]
    return pd.DataFrame(rows).reindex(columns=[*_IDENTITY, *context.task.columns, *CONVERGENCE])


def correct_of(context: Context, split: Literal["val", "test"]) -> Correct:
    """Which samples of a split each finished student got right, as far as it was kept."""
    students = finished_cells(context, context.plan.kept)
    found = {name: read_correct(context.folder(cell), split) for name, cell in students.items()}
    return {name: own for name, own in found.items() if own is not None}


def control_table(context: Context) -> pd.DataFrame:
    """One row per student without a teacher, with the columns of `cell_table` that it can have.

    `label_smoothing` is that of its own labels; `temperature`, `teacher` and `teacher_seed` are empty.
    """
    rows = [_row_of(context, cell) for cell in context.plan.untaught]
    return pd.DataFrame(rows).reindex(columns=[*_IDENTITY, *context.task.columns, *COSTS])


def write_results(context: Context, diffusion: pd.DataFrame) -> pd.DataFrame:
    """Write `results.csv`, `controls.csv`, `teachers.csv`, and what the learning rates were chosen by; return the
    cells' table."""
    table = cell_table(context, diffusion)
    write_csv(context.directory.results, table)
    write_csv(context.directory.teacher_results, teacher_table(context))
    _write_or_remove(context.directory.control_results, control_table(context))
    student, metric = context.config.student, context.task.metric
    tried = trial_table(context.plan, context.read_record, student.peak_rate, metric)
    _write_or_remove(context.directory.analysis / LEARNING_RATES_FILE, tried)
    return table


def _write_or_remove(path: Path, table: pd.DataFrame) -> None:
    """A table with rows; none is left there of a grid that has shrunk."""
    if len(table):
        write_csv(path, table)
    else:
        remove_kept(path.parent, path.name)
