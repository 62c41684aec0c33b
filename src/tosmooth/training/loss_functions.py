"""What a teacher or a student is trained with: the objectives of `losses/`, as functions of a group's answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from tosmooth.losses.distillation import distillation_loss
from tosmooth.losses.fused_linear import fused_linear_distillation
from tosmooth.training.forward import Answer, Hidden, logits_of

# the model's answer for N samples, labels (N,), teachers' answers by name → scalar loss
LossFunction = Callable[[Answer, Tensor, Mapping[str, Answer]], Tensor]


def label_smoothing_loss(alpha: float) -> LossFunction:
    """The teachers' loss: cross-entropy against labels smoothed by α."""

    def loss(logits: Answer, labels: Tensor, _: Mapping[str, Answer]) -> Tensor:
        assert isinstance(logits, Tensor)
        return nn.functional.cross_entropy(logits, labels, label_smoothing=alpha)

    return loss


def distillation_from(
    teacher: str,
    temperature: float,
    objective: str,
    hard_weight: float,
    *,
    label_smoothing: float = 0.0,
    options: Mapping[str, Any] | None = None,
    topk: int | None = None,
) -> LossFunction:
    """A student's loss: distillation from one teacher of the group at one temperature.

    Of answers that are hidden states, the loss is the fused one: the same in value and gradients, up to rounding.

    Args:
        teacher: its name.
        temperature: T.
        objective: its name.
        hard_weight: of the hard-label term.
        label_smoothing: of that term's labels.
        options: further arguments of the objective.
        topk: how many of the teacher's outputs count; None = all.
    """

    settings: dict[str, Any] = {
        "objective": objective,
        "objective_kwargs": options,
        "hard_weight": hard_weight,
        "label_smoothing": label_smoothing,
        "topk": topk,
    }

    def loss(answer: Answer, labels: Tensor, answers: Mapping[str, Answer]) -> Tensor:
        taught = answers[teacher]
        if not (isinstance(answer, Hidden) and isinstance(taught, Hidden)):
            # Of teachers with no more outputs than features, logits are stored; the student's are made as well, then.
            return distillation_loss(logits_of(answer), logits_of(taught), temperature, targets=labels, **settings)
        return fused_linear_distillation(
            answer.features,
            answer.layer.weight,
            taught.features,
            taught.layer.weight,
            temperature,
            student_bias=answer.layer.bias,
            teacher_bias=taught.layer.bias,
            targets=labels,
            **settings,
        )

    return loss
