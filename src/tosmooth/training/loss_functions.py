"""What a teacher or a student is trained with: the objectives of `losses/`, as functions of a group's answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from tosmooth.data.base import NO_LABEL
from tosmooth.losses.distillation import distillation_loss
from tosmooth.losses.fused_linear import fused_linear_distillation
from tosmooth.losses.objectives import find_objective
from tosmooth.losses.soft_targets import expected_loss
from tosmooth.training.forward import Answer, Hidden, logits_of

MIXED_LABELS = 2  # of an image, at most: MixUp and CutMix make one out of two
# the model's answer for N samples, labels (N,) or of mixed images (N, K), teachers' answers by name → scalar loss
LossFunction = Callable[[Answer, Tensor, Mapping[str, Answer]], Tensor]


def label_smoothing_loss(alpha: float) -> LossFunction:
    """The teachers' loss: cross-entropy against labels smoothed by α; mixed ones become (1 − α) · mixed + α / K."""

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
    unlabelled: bool = False,
) -> LossFunction:
    """A student's loss: distillation from one teacher of the group at one temperature.

    Of answers that are hidden states, the loss is the fused one: the same in value and gradients, up to rounding. It
    takes one label a sample; where they are mixed, the logits are made.

    Args:
        teacher: its name.
        temperature: T.
        objective: its name.
        hard_weight: of the hard-label term.
        label_smoothing: of that term's labels.
        options: further arguments of the objective.
        topk: how many of the teacher's outputs count; None = all.
        unlabelled: whether labels may be `NO_LABEL`. Such a row has the teacher's term alone, with the weight that it
            has in every row, and the mean is over all rows. So each image counts alike, whatever else is in its batch.
    """

    settings: dict[str, Any] = {
        "objective": objective,
        "objective_kwargs": options,
        "hard_weight": hard_weight,
        "label_smoothing": label_smoothing,
        "topk": topk,
    }
    needs_targets = find_objective(objective).needs_targets

    def loss(answer: Answer, labels: Tensor, answers: Mapping[str, Answer]) -> Tensor:
        taught = answers[teacher]
        mixed = labels.is_floating_point()
        if mixed or not (isinstance(answer, Hidden) and isinstance(taught, Hidden)):
            # Of teachers with no more outputs than features, logits are stored; the student's are made as well, then.
            pair = logits_of(answer), logits_of(taught)
            if mixed and needs_targets:  # both terms are linear in the label

                def rows_of(hard: Tensor) -> Tensor:
                    return distillation_loss(*pair, temperature, targets=hard, reduction="none", **settings)

                return expected_loss(rows_of, labels, labels=MIXED_LABELS).mean()
            if unlabelled:
                taught_by = distillation_loss(*pair, temperature, **{**settings, "hard_weight": 0.0})
                return (1 - hard_weight) * taught_by + hard_weight * _hard_term(pair[0], labels, label_smoothing)
            return distillation_loss(*pair, temperature, targets=labels, **settings)
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


def _hard_term(logits: Tensor, labels: Tensor, label_smoothing: float) -> Tensor:
    """Cross-entropy, 0 of rows without a label; the mean over all rows, (N, K) and (N,) → scalar."""
    total = nn.functional.cross_entropy(
        logits, labels, ignore_index=NO_LABEL, label_smoothing=label_smoothing, reduction="sum"
    )
    return total / len(labels)
