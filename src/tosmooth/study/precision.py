"""Which precision each model of a study works in: that of the study, or what was measured to be faster for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tosmooth.study.context import Context
from tosmooth.study.kinds import Kind
from tosmooth.study.plan import Cell, Teacher
from tosmooth.training.compute import Compute


def compute_to_train(context: Context, owner: Teacher | Cell) -> Compute:
    """Device and precision that a teacher or student is trained in."""
    kind = Kind("train", "teacher" if isinstance(owner, Teacher) else "student", context.model_section(owner).name)
    precision = _chosen(context, kind)
    return context.compute if precision is None else replace(context.compute, precision=precision)


def compute_to_ask(context: Context) -> Compute:
    """Device and precision that the frozen teachers answer in."""
    precision = _chosen(context, Kind("ask", "teacher", context.config.teacher.model.name))
    return context.compute if precision is None else replace(context.compute, teacher_precision=precision)


def _chosen(context: Context, kind: Kind) -> str | None:
    choice = context.precisions.get(kind)
    return None if choice is None else choice.precision


def precision_facts(context: Context) -> dict[str, Any]:
    """The precision of training and of frozen teachers, as `environment.json` has it.

    Under `measured` by model, with the reason.
    """
    chosen = {kind: choice._asdict() for kind, choice in context.precisions.items()}
    trained = {f"{kind.role} {kind.model}": own for kind, own in chosen.items() if kind.what == "train"}
    asked = {kind.model: own for kind, own in chosen.items() if kind.what == "ask"}
    return {
        "precision": trained or context.compute.precision,
        "teacher_precision": asked or context.compute.teacher_precision,
    }
