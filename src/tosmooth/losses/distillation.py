"""Distillation losses: `hinton` and `teacher_only`, with hard labels, top-k teachers and ignored positions.

All are written as KL divergences, so a student equal to its teacher has loss 0. T² stands wherever the student is
softened, whatever the other settings are; leaving it out would silently change the learning rate along the temperature axis.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  the field's name for it

from tosmooth.errors import did_you_mean

Reduction = Literal["mean", "sum", "none"]
# (student logits (N, K), teacher logits (N, K), temperature (N, 1) or scalar, targets (N,) or None, **kwargs) → (N,)
Objective = Callable[..., Tensor]

_OBJECTIVES: dict[str, Objective] = {}


def register_objective(name: str) -> Callable[[Objective], Objective]:
    """Make an objective known by name, for configurations and for `distillation_loss`.

    The function takes student logits (N, K), teacher logits (N, K), the temperature (scalar or (N, 1)) and targets (N,) or
    None, and returns one loss per row, (N,).

    Raises:
        ValueError: the name is taken.
    """

    def register(function: Objective) -> Objective:
        if name in _OBJECTIVES:
            raise ValueError(f"objective {name!r} is registered already")
        _OBJECTIVES[name] = function
        return function

    return register


def objectives() -> tuple[str, ...]:
    """Names of all registered objectives, sorted."""
    return tuple(sorted(_OBJECTIVES))


def find_objective(objective: str | Objective) -> Objective:
    """The function of an objective given by name; a callable is returned as it is.

    Raises:
        ValueError: there is no objective of that name.
    """
    if not isinstance(objective, str):
        return objective
    if objective not in _OBJECTIVES:
        raise ValueError(f"unknown objective {objective!r}; {did_you_mean(objective, _OBJECTIVES)}")
    return _OBJECTIVES[objective]


def _kl(teacher_logits: Tensor, student_log_probabilities: Tensor) -> Tensor:
    """KL(teacher ‖ student) per row, (N, K) → (N,). Teacher classes at −∞ (cut off by top-k) add nothing."""
    log_teacher = F.log_softmax(teacher_logits, dim=-1)
    terms = log_teacher.exp() * (log_teacher - student_log_probabilities)
    return torch.where(log_teacher.isneginf(), torch.zeros_like(terms), terms).sum(-1)


@register_objective("hinton")
def hinton(student_logits: Tensor, teacher_logits: Tensor, temperature: Tensor | float, targets: Tensor | None) -> Tensor:
    """T² · KL(p_T(z_t) ‖ p_T(z_s)) per row (Hinton, Vinyals and Dean, 2015); the paper's objective."""
    loss = _kl(teacher_logits / temperature, F.log_softmax(student_logits / temperature, dim=-1))
    squared = temperature**2
    return loss * (squared.squeeze(-1) if isinstance(squared, Tensor) and squared.ndim else squared)


@register_objective("teacher_only")
def teacher_only(
    student_logits: Tensor, teacher_logits: Tensor, temperature: Tensor | float, targets: Tensor | None
) -> Tensor:
    """KL(p_T(z_t) ‖ p_1(z_s)) per row: only the teacher is softened, so no T² (Müller et al. 2019; TTM, ICLR 2024)."""
    return _kl(teacher_logits / temperature, F.log_softmax(student_logits, dim=-1))


def distillation_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    temperature: float | Tensor,
    *,
    objective: str | Objective = "hinton",
    objective_kwargs: Mapping[str, Any] | None = None,
    targets: Tensor | None = None,
    hard_weight: float = 0.0,
    label_smoothing: float = 0.0,
    topk: int | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> Tensor:
    """(1 − w) · objective(student, teacher; T) + w · CE(targets, student).

    Computed in float32 or wider whatever the input type; the teacher is detached.

    Args:
        student_logits: (N, K), or (B, L, K) for sequences.
        teacher_logits: the same shape.
        temperature: T > 0, a number, a 0-dimensional tensor, or one value per row, (N,) or (B, L).
        objective: a registered name, or a callable with the signature that `register_objective` describes.
        objective_kwargs: further keyword arguments of the objective.
        targets: class indices, (N,) or (B, L). Rows whose target is `ignore_index` are left out.
        hard_weight: w in [0, 1]; the paper uses 0.
        label_smoothing: smoothing of the hard-label term, in [0, 1).
        topk: keep only the teacher's k most likely classes of each row, renormalised; the student stays whole.
        ignore_index: the target of rows that do not count.
        reduction: "mean" over the rows that count, "sum", or "none" → (N,) or (B, L), 0 where ignored.

    Returns:
        A scalar, or the loss per row. With no row left it is 0 and still has a graph.

    Raises:
        ValueError: shapes differ, T ≤ 0, w outside [0, 1], w > 0 without targets, an unknown objective or reduction, or
            k outside [1, K].
    """
    _check(student_logits, teacher_logits, targets, hard_weight, label_smoothing, topk, reduction)
    classes = student_logits.shape[-1]
    row_shape = student_logits.shape[:-1]
    student = student_logits.reshape(-1, classes)  # (N, K)
    student = student.float() if student.dtype in {torch.float16, torch.bfloat16} else student
    teacher = teacher_logits.detach().reshape(-1, classes).to(student.dtype)
    divisor = _temperature(temperature, row_shape, student)
    flat_targets = None if targets is None else targets.reshape(-1)
    kept = None if flat_targets is None else flat_targets != ignore_index
    if kept is not None:
        # Ignored rows may hold anything, NaN included: they are replaced, not multiplied by 0.
        student = torch.where(kept[:, None], student, torch.zeros_like(student))
        teacher = torch.where(kept[:, None], teacher, torch.zeros_like(teacher))
    if topk is not None and topk < classes:
        indices = teacher.topk(topk, dim=-1).indices
        cut = torch.full_like(teacher, float("-inf"))
        teacher = cut.scatter(-1, indices, teacher.gather(-1, indices))

    function = find_objective(objective)
    rows = function(student, teacher, divisor, flat_targets, **(objective_kwargs or {}))
    if hard_weight > 0:
        assert flat_targets is not None
        hard = F.cross_entropy(
            student, flat_targets, ignore_index=ignore_index, label_smoothing=label_smoothing, reduction="none"
        )
        rows = (1 - hard_weight) * rows + hard_weight * hard
    if kept is not None:
        rows = rows * kept
    if reduction == "none":
        return rows.reshape(row_shape)
    if reduction == "sum":
        return rows.sum()
    count = len(rows) if kept is None else kept.sum()
    return rows.sum() / (max(count, 1) if isinstance(count, int) else count.clamp(min=1))


def _temperature(temperature: float | Tensor, row_shape: torch.Size, like: Tensor) -> float | Tensor:
    """The temperature as a number or as (N, 1)."""
    if not isinstance(temperature, Tensor):
        if not (temperature > 0 and temperature < float("inf")):
            raise ValueError(f"temperature must be a finite number above 0, got {temperature}")
        return float(temperature)
    if not bool((temperature > 0).all()):
        raise ValueError("every temperature must be above 0")
    temperature = temperature.to(like)
    if temperature.ndim == 0:
        return temperature
    if temperature.shape != row_shape:
        raise ValueError(f"temperature has shape {tuple(temperature.shape)}; expected a number or {tuple(row_shape)}")
    return temperature.reshape(-1, 1)


def _check(
    student: Tensor,
    teacher: Tensor,
    targets: Tensor | None,
    hard_weight: float,
    label_smoothing: float,
    topk: int | None,
    reduction: str,
) -> None:
    if student.ndim not in {2, 3} or student.shape != teacher.shape:
        raise ValueError(
            f"student logits {tuple(student.shape)} and teacher logits {tuple(teacher.shape)} must have the same shape, "
            "(N, K) or (B, L, K)"
        )
    if targets is not None and targets.shape != student.shape[:-1]:
        raise ValueError(f"targets have shape {tuple(targets.shape)}; expected {tuple(student.shape[:-1])}")
    if not 0 <= hard_weight <= 1:
        raise ValueError(f"hard_weight must be in [0, 1], got {hard_weight}")
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"label_smoothing must be in [0, 1), got {label_smoothing}")
    if hard_weight > 0 and targets is None:
        raise ValueError("hard_weight > 0 needs targets")
    if topk is not None and not 1 <= topk <= student.shape[-1]:
        raise ValueError(f"topk must be in [1, {student.shape[-1]}], got {topk}")
    if reduction not in {"mean", "sum", "none"}:
        raise ValueError(f"unknown reduction {reduction!r}; {did_you_mean(reduction, ['mean', 'sum', 'none'])}")


class DistillationLoss(nn.Module):
    """`distillation_loss` as a module: settings at construction, logits and targets at the call.

    Args:
        temperature: T > 0.
        **settings: the other keyword arguments of `distillation_loss`, without `targets`.

    Raises:
        ValueError: as `distillation_loss`, at construction where the settings alone show the mistake.
    """

    def __init__(self, temperature: float, **settings: Any) -> None:
        super().__init__()
        find_objective(settings.get("objective", "hinton"))
        _temperature(temperature, torch.Size(), torch.zeros(()))
        self.temperature = temperature
        self.settings = settings

    def forward(self, student_logits: Tensor, teacher_logits: Tensor, targets: Tensor | None = None) -> Tensor:
        """The loss; shapes as in `distillation_loss`."""
        return distillation_loss(student_logits, teacher_logits, self.temperature, targets=targets, **self.settings)

    def extra_repr(self) -> str:
        """Settings, for `print(module)`."""
        return ", ".join([f"temperature={self.temperature}", *(f"{k}={v!r}" for k, v in self.settings.items())])
