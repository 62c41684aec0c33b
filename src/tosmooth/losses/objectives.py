"""Distillation objectives by name: `hinton`, `teacher_only`, and whatever a user registers.

All are written as KL divergences, so a student equal to its teacher has loss 0 (`teacher_only`: at T = 1). T² stands
wherever the student is softened; leaving it out would silently change the learning rate along the temperature axis.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

from tosmooth.errors import did_you_mean

# (student logits (N, K), teacher logits (N, K), temperature, targets (N,) or None, **kwargs) → (N,)
Objective = Callable[..., Tensor]

_OBJECTIVES: dict[str, Objective] = {}


def register_objective(name: str) -> Callable[[Objective], Objective]:
    """Make an objective known by name, for configurations and for `distillation_loss`.

    The function takes student logits (N, K), teacher logits (N, K), the temperature (a number, a 0-dimensional tensor,
    or (N, 1)) and targets (N,) or None, and returns one loss per row, (N,). Logits are float32 or wider. With `topk`,
    the teacher's other logits are −∞. Rows that are ignored arrive as zeros with target 0, and what is returned for
    them is dropped.

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
    return terms.masked_fill(log_teacher.isneginf(), 0).sum(-1)  # (N,)


@register_objective("hinton")
def hinton(
    student_logits: Tensor, teacher_logits: Tensor, temperature: Tensor | float, targets: Tensor | None
) -> Tensor:
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
