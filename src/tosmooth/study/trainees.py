"""From a teacher or student of the plan to a model before its first step: weights, loss, learning rate, selection."""

from __future__ import annotations

from typing import Any

from tosmooth.config.schema import TrainingConfig
from tosmooth.folder.columns import column
from tosmooth.models.study_model import StudyModel
from tosmooth.study.context import Context
from tosmooth.study.plan import Cell, Teacher
from tosmooth.study.precision import compute_to_train
from tosmooth.training.loss_functions import LossFunction, distillation_from, label_smoothing_loss
from tosmooth.training.trainee import Trainee


def new_trainee(
    context: Context, owner: Teacher | Cell, *, split: Any = None, model: StudyModel | None = None
) -> Trainee:
    """A teacher or student before its first step; nothing is written yet.

    Args:
        context: of the study.
        owner: the teacher or cell.
        split: as for `Context.training_batches`.
        model: to be trained; None = as its section describes it, from its seed, file or published weights.
    """
    section = _at_own_rate(context, owner)
    if model is None:
        checkpoint = owner.checkpoint if isinstance(owner, Teacher) else None
        model = context.new_model(context.model_section(owner), owner.seed, checkpoint)
    judged_by = context.task.metric.judged_by
    return Trainee(
        name=owner.name,
        model=model,
        loss_function=_loss(context, owner),
        config=section,
        compute=compute_to_train(context, owner),
        seed=owner.seed,
        steps_per_epoch=len(context.training_batches(section, owner.seed, split=split)),
        folder=context.folder(owner),
        fused=context.fused_loss and is_distilled(owner),
        looks_first=isinstance(owner, Cell) and owner.distilled and owner.hard_weight == 0,
        select_by=None if context.selection == "last" else column(context.selection_split_name, judged_by.name),
        lower_is_better=judged_by.lower_is_better,
        judged_by=judged_by.val,
    )


def _at_own_rate(context: Context, owner: Teacher | Cell) -> TrainingConfig:
    """How a model is trained: as its section says, a student at its own learning rate."""
    if isinstance(owner, Teacher):
        return context.config.teacher
    section = context.config.student
    optimizer = section.optimizer.model_copy(update={"learning_rate": section.optimizer.learning_rate * owner.rate})
    return section.model_copy(update={"optimizer": optimizer})


def is_distilled(owner: Teacher | Cell) -> bool:
    """Whether a model learns from a teacher's answers, rather than from labels or translations."""
    return isinstance(owner, Cell) and owner.distilled


def _loss(context: Context, owner: Teacher | Cell) -> LossFunction:
    section = context.config.student
    if isinstance(owner, Teacher) or owner.is_control:
        return label_smoothing_loss(owner.label_smoothing)
    if not is_distilled(owner):
        return label_smoothing_loss(section.label_smoothing)
    return distillation_from(
        owner.teacher,
        owner.temperature,
        owner.loss,
        owner.hard_weight,
        label_smoothing=section.label_smoothing,
        options=section.objective_options.get(owner.loss),
        topk=section.topk,
        unlabelled=context.taught is not context.data.train,
    )
