"""Figures on the test split, which is read once for every finished model: called only after the advice is frozen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from tosmooth.data.batches import Batches
from tosmooth.folder.columns import TEMPERATURE
from tosmooth.folder.judged import keep_judged
from tosmooth.folder.paths import CALIBRATION_FILE, RELIABILITY_FILE
from tosmooth.folder.remedies import AGAIN
from tosmooth.folder.sums import OF_TEST, check_model_file
from tosmooth.folder.writing import load_json, take_back_sums, write_csv, write_json
from tosmooth.models.study_model import StudyModel
from tosmooth.study.context import Context
from tosmooth.study.costs import costs_on_test
from tosmooth.study.given_outputs import record_outputs
from tosmooth.study.measuring import figures_of_correct, in_passes
from tosmooth.study.plan import Cell, Teacher
from tosmooth.study.results import finished_cells
from tosmooth.training.evaluation import Evaluation, evaluate_together


def read_test(context: Context, done: Mapping[str, Cell]) -> None:
    """Evaluate the test split for every teacher and finished student, and keep the reliability bins.

    Controls are read too, and students at learning rates that were not chosen: what an own rate was worth is said on
    test.

    Args:
        context: of the study.
        done: students of the grid, by name; the bins of these and of the teachers are kept.
    """
    on_main = context.compute.processes.on_main
    students = on_main(lambda: finished_cells(context, context.plan.students))
    others = [cell for name, cell in students.items() if name not in done]
    owners: list[Teacher | Cell] = [*context.plan.teachers, *done.values(), *others]
    bins: list[dict[str, Any]] = []
    for owner, rows in zip(owners, read_test_of(context, owners), strict=True):
        if isinstance(owner, Cell) and owner.name not in done:
            continue
        identity = {
            "role": "teacher" if isinstance(owner, Teacher) else "student",
            "name": owner.name,
            "label_smoothing": owner.label_smoothing,
            "temperature": None if isinstance(owner, Teacher) else owner.temperature,
            "seed": owner.seed,
            "split": "test",
        }
        bins += [identity | row for row in rows]
    path = context.directory.analysis / CALIBRATION_FILE
    on_main(lambda: write_csv(path, pd.DataFrame(bins)))


def read_test_of(context: Context, owners: Sequence[Teacher | Cell]) -> list[list[Any]]:
    """Evaluate finished models on the test split, those whose records have no test figures yet, and give each one's
    reliability bins; a teacher known by its outputs has none."""
    on_main, by_outputs = context.compute.processes.on_main, bool(context.config.teacher.outputs)
    models = []
    for owner in owners:
        if by_outputs and isinstance(owner, Teacher):
            record_outputs(context, owner, test=True)
        else:
            models.append(owner)
    known = on_main(lambda: [_is_read(context, owner) for owner in models])
    if todo := [owner for owner, read in zip(models, known, strict=True) if not read]:
        batches = context.evaluation_batches(context.data.test)
        for group in in_passes(context, todo):
            _read_together(context, group, batches)
    return on_main(lambda: [[] if by_outputs and isinstance(own, Teacher) else _bins(context, own) for own in owners])


def _is_read(context: Context, owner: Teacher | Cell) -> bool:
    record = context.read_record(owner) or {}
    return context.task.metric.test in record and (context.folder(owner) / RELIABILITY_FILE).exists()


def _read_together(context: Context, owners: Sequence[Teacher | Cell], batches: Batches) -> None:
    """One pass over the split for all of them."""

    def begin() -> None:
        for owner in owners:
            take_back_sums(context.folder(owner), OF_TEST)

    models = [context.trained_model(owner) for owner in owners]  # before anything is changed: one may be damaged
    context.compute.processes.on_main(begin)
    records = [context.read_record(owner) or {} for owner in owners]
    found = evaluate_together(
        models, batches, context.compute, keep=[()] * len(models), layers=[None] * len(models),
        temperatures=[record.get(TEMPERATURE) for record in records],
    )  # fmt: skip
    for owner, model, record, own in zip(owners, models, records, found, strict=True):
        figures = _keep_answers(context, owner, model, own)
        context.write_record(owner, record | figures, OF_TEST)


def _keep_answers(context: Context, owner: Teacher | Cell, model: StudyModel, found: Evaluation) -> dict[str, Any]:
    """Write what is kept of a model's answers; returns its figures."""
    figures = found.columns("test") | context.measure(owner, model, "test")
    figures |= figures_of_correct(context, context.data.test, found, "test") | costs_on_test(context, found)
    rows = found.metrics.reliability().to_dict(orient="records")
    folder = context.folder(owner)

    def write() -> None:
        keep_judged(folder, "test", found.correct, found.answers)
        write_json(folder / RELIABILITY_FILE, rows)

    context.compute.processes.on_main(write)
    return figures


def _bins(context: Context, owner: Teacher | Cell) -> list[Any]:
    saved = context.folder(owner) / RELIABILITY_FILE
    check_model_file(saved)
    return load_json(saved, list, AGAIN)
