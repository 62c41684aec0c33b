"""What smoothing may cost beside accuracy: figures of each model on test, from the pass that is made anyway."""

from __future__ import annotations

import math

import torch

from tosmooth.analysis.class_scores import agreement, macro_f1, worst_class
from tosmooth.errors import StudyError
from tosmooth.folder.columns import AURC, ECE_FITTED, MACRO_F1, WORST_CLASS
from tosmooth.folder.judged import read_answers
from tosmooth.folder.paths import JUDGED_FILE
from tosmooth.study.context import Context
from tosmooth.study.plan import Cell
from tosmooth.training.evaluation import Evaluation


def costs_on_test(context: Context, found: Evaluation) -> dict[str, float | None]:
    """The figures of a model on test by column; None where one is not known.

    Of a task that has more outputs than classes, such as the words of a vocabulary, those by class are left out: most
    words are rare.

    Args:
        context: of the study.
        found: of the test split.
    """
    if not found.finite:
        return {}
    figures: dict[str, float | None] = {
        ECE_FITTED: found.metrics.ece_fitted(),
        AURC: found.metrics.risk_coverage_area(),
    }
    if context.data.class_outputs is None:
        predicted, labels = found.answers
        figures[MACRO_F1] = _known(macro_f1(predicted, labels, context.data.num_outputs))
        figures[WORST_CLASS] = _known(worst_class(predicted, labels))
    return figures


def agreement_with_teacher(context: Context, cell: Cell) -> float | None:
    """On how many test samples a student answers as its teacher does, in percent; None where it has no teacher, or the
    answers of one of them are not kept: the test split was not read, or by an earlier version.

    Raises:
        StudyError: a file of answers is damaged.
    """
    teacher = next((own for own in context.plan.teachers if own.name == cell.teacher), None)
    if teacher is None:
        return None
    theirs, own = (read_answers(context.folder(owner), "test") for owner in (teacher, cell))
    if theirs is None or own is None:
        return None
    if theirs.shape != own.shape or len(own) != 2:
        file = context.folder(cell) / JUDGED_FILE
        raise StudyError(f"{file} is damaged: its answers are to other samples than its teacher's; delete it")
    return _known(agreement(*(torch.tensor(answers[0]) for answers in (own, theirs))))


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
