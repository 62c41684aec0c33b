"""The distillation loss: an objective, hard labels, top-k teachers and ignored rows, as a function and as a module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tosmooth.errors import LossInputError, did_you_mean
from tosmooth.losses.objectives import (
    Objective,
    ObjectiveFunction,
    check_topk,
    find_objective,
    objectives,
    register_objective,
)
from tosmooth.losses.soft_targets import expected_loss

__all__ = ["DistillationLoss", "Objective", "Reduction", "distillation_loss", "objectives", "register_objective"]

Reduction = Literal["mean", "sum", "none"]


def distillation_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    temperature: float | Tensor,
    *,
    objective: str | Objective | ObjectiveFunction = "hinton",
    objective_kwargs: Mapping[str, Any] | None = None,
    targets: Tensor | None = None,
    hard_weight: float = 0.0,
    label_smoothing: float = 0.0,
    topk: int | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> Tensor:
    """(1 − w) · objective(student, teacher; T) + w · CE(targets, student).

    Computed in float32 or wider whatever the input types; the teacher is detached. Without targets every row counts.

    Targets may also be class probabilities, as MixUp and CutMix make them. The hard term is then the cross-entropy
    against (1 − s) · targets + s / K, with s the label smoothing. An objective that needs labels (`dkd`) is the mean of
    its losses over the labels, weighted by their probabilities; any other is handed no targets.

    Args:
        student_logits: (N, K), or (B, L, K) for sequences.
        teacher_logits: the same shape.
        temperature: T > 0, a number, a 0-dimensional tensor, or one value per row, (N,) or (B, L).
        objective: a registered name, or a callable with the signature that `register_objective` describes.
        objective_kwargs: further keyword arguments of the objective.
        targets: class indices, (N,) or (B, L), and rows whose target is `ignore_index` are left out; or class
            probabilities, floats of the logits' shape whose rows sum to 1, and every row counts.
        hard_weight: w in [0, 1]; the paper uses 0.
        label_smoothing: smoothing of the hard-label term, in [0, 1).
        topk: keep only the teacher's k most likely classes of each row, renormalised; the student stays a distribution
            over all classes. Not for objectives that need all of the teacher's logits (`dkd`, `logit_standard`).
        ignore_index: the target of rows that do not count.
        reduction: "mean" over the rows that count, "sum", or "none" → (N,) or (B, L), 0 where ignored.

    Returns:
        A scalar, or the loss per row. With no row left it is 0 and still has a graph.

    Raises:
        ValueError: shapes differ, T ≤ 0 or not finite, w outside [0, 1], label smoothing outside [0, 1), w > 0 without
            targets, targets of another shape or type or of no class, an unknown objective or reduction, k outside [1,
            K] or with an objective that it means nothing to, an objective's own refusal of its options, of missing
            targets or of −∞ among the teacher's logits, or an
            objective that does not return one loss per row.
    """
    check_temperature(temperature)
    return _loss(
        student_logits,
        teacher_logits,
        temperature,
        objective=objective,
        objective_kwargs=objective_kwargs,
        targets=targets,
        hard_weight=hard_weight,
        label_smoothing=label_smoothing,
        topk=topk,
        ignore_index=ignore_index,
        reduction=reduction,
    )


def _loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    temperature: float | Tensor,
    *,
    objective: str | Objective | ObjectiveFunction,
    objective_kwargs: Mapping[str, Any] | None,
    targets: Tensor | None,
    hard_weight: float,
    label_smoothing: float,
    topk: int | None,
    ignore_index: int,
    reduction: Reduction,
) -> Tensor:
    """`distillation_loss` at a temperature that was checked before."""
    _check_logits(student_logits, teacher_logits, targets)
    check_settings(hard_weight, label_smoothing, topk, reduction)
    check_topk(objective, topk)
    row_shape, classes = student_logits.shape[:-1], student_logits.shape[-1]
    check_labels(targets, classes, ignore_index)
    if hard_weight > 0 and targets is None:
        raise ValueError(f"hard_weight = {hard_weight} needs targets")
    if topk is not None and topk > classes:
        raise ValueError(f"topk must be in [1, {classes}], got {topk}")

    wide = torch.promote_types(torch.promote_types(student_logits.dtype, teacher_logits.dtype), torch.float32)
    student = student_logits.reshape(row_shape.numel(), classes).to(wide)  # (N, K)
    teacher = teacher_logits.detach().reshape(row_shape.numel(), classes).to(wide)
    divisor = as_divisor(temperature, row_shape, student)
    kept: Tensor | None = None
    soft: Tensor | None = None  # (N, K)
    if targets is not None and targets.is_floating_point():
        soft, targets = targets.reshape(row_shape.numel(), classes).to(wide), None
    if targets is not None:
        targets = targets.reshape(-1).to(torch.int64)
        kept = targets != ignore_index
        # Ignored rows may hold anything, NaN included: they are replaced, not multiplied by 0. Selecting the rows that
        # count would do too, but makes a GPU wait for their number.
        student = student.masked_fill(~kept[:, None], 0)
        teacher = teacher.masked_fill(~kept[:, None], 0)
        targets = targets.masked_fill(~kept, 0)
    if topk is not None and topk < classes:
        indices = teacher.topk(topk, dim=-1).indices
        cut = torch.full_like(teacher, float("-inf"))
        teacher = cut.scatter(-1, indices, teacher.gather(-1, indices))

    found = find_objective(objective)

    def loss_of(labels: Tensor | None) -> Tensor:
        return found(student, teacher, divisor, labels, **(objective_kwargs or {}))

    rows = expected_loss(loss_of, soft) if soft is not None and found.needs_targets else loss_of(targets)
    if rows.shape != student.shape[:1]:
        raise ValueError(
            f"objective {objective!r} returned shape {tuple(rows.shape)}; one loss per row is ({len(student)},)"
        )
    labels = targets if soft is None else soft
    if hard_weight > 0 and labels is not None:
        hard = F.cross_entropy(student, labels, label_smoothing=label_smoothing, reduction="none")
        rows = (1 - hard_weight) * rows + hard_weight * hard
    if kept is not None:
        rows = rows.masked_fill(~kept, 0)
    if reduction == "none":
        return rows.reshape(row_shape)
    if reduction == "sum":
        return rows.sum()
    return rows.sum() / (max(len(rows), 1) if kept is None else kept.sum().clamp(min=1))


class DistillationLoss(nn.Module):
    """`distillation_loss` as a module: settings at construction, logits and targets at the call.

    Args:
        temperature: T > 0, a number or a 0-dimensional tensor, which is looked at once, here: a GPU would have to wait
            for each look.
        objective: a registered name or a callable; for this and all others see `distillation_loss`.
        objective_kwargs: further keyword arguments of the objective.
        hard_weight: w in [0, 1].
        label_smoothing: smoothing of the hard-label term, in [0, 1).
        topk: how many of the teacher's classes to keep.
        ignore_index: the target of rows that do not count.
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: as `distillation_loss`; at construction where the settings alone show the mistake.
    """

    def __init__(
        self,
        temperature: float | Tensor,
        *,
        objective: str | Objective | ObjectiveFunction = "hinton",
        objective_kwargs: Mapping[str, Any] | None = None,
        hard_weight: float = 0.0,
        label_smoothing: float = 0.0,
        topk: int | None = None,
        ignore_index: int = -100,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        find_objective(objective)
        check_temperature(temperature)
        as_divisor(temperature, torch.Size(), torch.zeros(()))
        check_settings(hard_weight, label_smoothing, topk, reduction)
        check_topk(objective, topk)
        self.temperature = temperature
        self.settings: dict[str, Any] = {
            "objective": objective,
            "objective_kwargs": objective_kwargs,
            "hard_weight": hard_weight,
            "label_smoothing": label_smoothing,
            "topk": topk,
            "ignore_index": ignore_index,
            "reduction": reduction,
        }

    def forward(self, student_logits: Tensor, teacher_logits: Tensor, targets: Tensor | None = None) -> Tensor:
        """The loss; shapes as in `distillation_loss`."""
        return _loss(student_logits, teacher_logits, self.temperature, targets=targets, **self.settings)

    def extra_repr(self) -> str:
        """Settings, for `print(module)`."""
        return ", ".join([f"temperature={self.temperature}", *(f"{k}={v!r}" for k, v in self.settings.items())])


def check_temperature(temperature: float | Tensor) -> None:
    """Refuse what is no temperature; a tensor is looked into, for which a GPU waits.

    Raises:
        ValueError: a value that is not above 0, or not finite.
    """
    if not isinstance(temperature, Tensor):
        if not 0 < temperature < float("inf"):
            raise ValueError(f"temperature must be a finite number above 0, got {temperature}")
    elif not bool(((temperature > 0) & temperature.isfinite()).all()):
        raise ValueError("every temperature must be a finite number above 0")


def as_divisor(temperature: float | Tensor, row_shape: torch.Size, like: Tensor) -> float | Tensor:
    """The temperature as a number, or in the type and on the device of `like`: a 0-dimensional tensor, or (N, 1).

    Raises:
        ValueError: a tensor of another shape.
    """
    if not isinstance(temperature, Tensor):
        return float(temperature)
    if temperature.ndim and temperature.shape != row_shape:
        raise ValueError(f"temperature has shape {tuple(temperature.shape)}; expected a number or {tuple(row_shape)}")
    temperature = temperature.to(like, non_blocking=like.is_cuda)  # elsewhere it would be read before it is there
    return temperature.reshape(-1, 1) if temperature.ndim else temperature


def _check_logits(student: Tensor, teacher: Tensor, targets: Tensor | None) -> None:
    if student.ndim not in {2, 3} or student.shape != teacher.shape:
        raise ValueError(
            f"student logits {tuple(student.shape)} and teacher logits {tuple(teacher.shape)} must have the same "
            "shape, (N, K) or (B, L, K)"
        )
    if not student.is_floating_point() or not teacher.is_floating_point():
        raise ValueError(f"logits must be floating-point, got {student.dtype} and {teacher.dtype}")
    if targets is None:
        return
    expected = student.shape if targets.is_floating_point() else student.shape[:-1]
    if targets.shape != expected or targets.dtype == torch.bool:
        raise ValueError(
            f"targets must be class indices (integers) of shape {tuple(student.shape[:-1])}, or class probabilities of "
            f"shape {tuple(student.shape)}; got {targets.dtype} of shape {tuple(targets.shape)}"
        )


def check_labels(targets: Tensor | None, classes: int, ignore_index: int) -> None:
    """Refuse class indices of no class. On a GPU, where a look would make it wait, its own kernels stop.

    Raises:
        LossInputError: one is neither in [0, K) nor `ignore_index`.
    """
    if targets is None or targets.is_floating_point() or targets.device.type != "cpu" or torch.compiler.is_compiling():
        return
    wrong = targets[(targets != ignore_index) & ((targets < 0) | (targets >= classes))]
    if len(wrong):
        raise LossInputError(
            f"target {int(wrong[0])} is outside the {classes} classes (0 to {classes - 1}); the target of rows that do "
            f"not count is ignore_index = {ignore_index}"
        )


def check_settings(hard_weight: float, label_smoothing: float, topk: int | None, reduction: str) -> None:
    """What can be told before any logits are seen."""
    if not 0 <= hard_weight <= 1:
        raise ValueError(f"hard_weight must be in [0, 1], got {hard_weight}")
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"label_smoothing must be in [0, 1), got {label_smoothing}")
    if topk is not None and topk < 1:
        raise ValueError(f"topk must be at least 1, got {topk}")
    if reduction not in {"mean", "sum", "none"}:
        raise ValueError(f"unknown reduction {reduction!r}; {did_you_mean(reduction, ['mean', 'sum', 'none'])}")
