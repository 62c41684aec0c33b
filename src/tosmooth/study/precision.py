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
    precision = context.precisions.get(kind)
    return context.compute if precision is None else replace(context.compute, precision=precision)


def compute_to_ask(context: Context) -> Compute:
    """Device and precision that the frozen teachers answer in."""
    precision = context.precisions.get(Kind("ask", "teacher", context.config.teacher.model.name))
    return context.compute if precision is None else replace(context.compute, teacher_precision=precision)


def precision_facts(context: Context) -> dict[str, Any]:
    """The precision of training and of frozen teachers, as `environment.json` has it: by model where measured."""
    trained = {f"{kind.role} {kind.model}": own for kind, own in context.precisions.items() if kind.what == "train"}
    asked = compute_to_ask(context).teacher_precision
    measured = any(kind.what == "ask" for kind in context.precisions)
    return {
        "precision": trained or context.compute.precision,
        "teacher_precision": {context.config.teacher.model.name: asked} if measured else asked,
    }
