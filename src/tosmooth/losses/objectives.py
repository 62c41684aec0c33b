"""Distillation objectives by name: `hinton`, `teacher_only`, `dkd`, `logit_standard`, and whatever a user registers.

All are written as KL divergences, so a student equal to its teacher has loss 0 (`teacher_only`: at T = 1). T² stands
wherever the student is softened; leaving it out would silently change the learning rate along the temperature axis.
Formulas, sources and options: docs/objectives.md.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tosmooth import plugins
from tosmooth.errors import LossInputError, did_you_mean
from tosmooth.registry import Registry

if TYPE_CHECKING:  # names and options are known to configurations and reports, which do without PyTorch
    from torch import Tensor

# What students without a teacher learn by, as a study's tables call it in the place of an objective: the second has
# labels smoothed by some α > 0.
CONTROL_LOSSES = ("cross_entropy", "label_smoothing")

# (student logits (N, K), teacher logits (N, K), temperature, targets (N,) or None, **kwargs) → (N,)
ObjectiveFunction = Callable[..., "Tensor"]


@dataclass(frozen=True)
class Objective:
    """What a student learns by.

    Attributes:
        name: what it is called.
        function: the loss per row, as `register_objective` describes it; None where there is none on logits.
        topk: whether it means anything to a teacher that was cut off by top-k.
        needs_targets: whether it needs the labels beside the teacher's logits.
        fused: whether `fused_linear_distillation` has it too.
        has_temperature: whether students learn at a temperature.
        relabels: what the teacher writes takes the labels' place, and the loss is cross-entropy on it.
    """

    name: str
    function: ObjectiveFunction | None
    topk: bool = True
    needs_targets: bool = False
    fused: bool = False
    has_temperature: bool = True
    relabels: bool = False

    def __call__(
        self,
        student_logits: Tensor,
        teacher_logits: Tensor,
        temperature: Tensor | float,
        targets: Tensor | None,
        **kwargs: Any,
    ) -> Tensor:
        """The loss per row, (N,).

        Raises:
            ValueError: there is no loss on logits, or targets are needed and there are none.
        """
        if self.function is None:
            raise ValueError(f"the objective {self.name!r} is no loss on logits")
        if self.needs_targets and targets is None:
            raise ValueError(f"the objective {self.name!r} needs targets")
        return self.function(student_logits, teacher_logits, temperature, targets, **kwargs)


def _added(name: str, function: Any) -> Objective:
    """An objective that a package adds: a function, which may have the attributes `topk` and `needs_targets`."""
    if not callable(function):
        raise plugins.wrong("objectives", name, "a function")
    traits = {"topk": getattr(function, "topk", True), "needs_targets": getattr(function, "needs_targets", False)}
    return Objective(name, function, **{key: bool(value) for key, value in traits.items()})


OBJECTIVES: Registry[Objective] = Registry("objectives", "objective", ValueError, accept=_added)
# Sequence-level distillation (Kim and Rush, EMNLP 2016): what the teacher writes are the labels. Rows of its students
# carry T₀, since a row must carry something; they are no distillation at T₀: rules and figures about T leave them out.
OBJECTIVES.add("sequence", Objective("sequence", None, has_temperature=False, relabels=True))


def register_objective(
    name: str, *, topk: bool = True, needs_targets: bool = False, fused: bool = False
) -> Callable[[ObjectiveFunction], ObjectiveFunction]:
    """Make an objective known by name, for configurations and for `distillation_loss`.

    The function takes student logits (N, K), teacher logits (N, K), the temperature (a number, a 0-dimensional tensor,
    or (N, 1)) and targets (N,) or None, and returns one loss per row, (N,). Logits are float32 or wider. Where images
    are mixed, one that needs targets is asked once for each label of a row, and any other gets None. With `topk`, the
    teacher's other logits are −∞. Rows that are ignored arrive as zeros with target 0, and what is returned for
    them is dropped. Further arguments are keyword arguments with defaults: `objective_kwargs`, and in a configuration
    `student.objective_options`. For values that it cannot work with it raises ValueError.

    Args:
        name: what it is called.
        topk: False for an objective that needs all of the teacher's logits; with `topk` it is refused then.
        needs_targets: whether it is refused without targets.
        fused: whether `fused_linear_distillation` has it too, under the same name.

    Raises:
        ValueError: the name is taken.
    """

    def register(function: ObjectiveFunction) -> ObjectiveFunction:
        OBJECTIVES.add(name, Objective(name, function, topk=topk, needs_targets=needs_targets, fused=fused))
        return function

    return register


def objectives() -> tuple[str, ...]:
    """Names of all losses on the teacher's logits, those of packages among them, sorted."""
    return tuple(name for name in OBJECTIVES.names() if _loss(name))


def student_objectives() -> tuple[str, ...]:
    """Names of all that students can learn by: the losses, and what takes other labels instead."""
    return OBJECTIVES.names()


def fused_objectives() -> tuple[str, ...]:
    """Names of those that `fused_linear_distillation` has, sorted."""
    return tuple(name for name in OBJECTIVES.names() if (known := OBJECTIVES.known(name)) is not None and known.fused)


def _loss(name: str) -> bool:
    """Whether an objective is a loss on logits; all that packages add are."""
    known = OBJECTIVES.known(name)
    return known is None or known.function is not None


def find_objective(objective: str | Objective | ObjectiveFunction) -> Objective:
    """An objective given by name, by its function, or as it is.

    Raises:
        ValueError: there is no objective of that name.
        PluginError: a package adds it, and cannot be used.
    """
    if isinstance(objective, Objective):
        return objective
    if isinstance(objective, str):
        return OBJECTIVES.find(objective)
    known = (known for name in OBJECTIVES.names() if (known := OBJECTIVES.known(name)) is not None)
    own = Objective(getattr(objective, "__name__", "this one"), objective)
    return next((one for one in known if one.function is objective), own)


def check_topk(objective: str | Objective | ObjectiveFunction, topk: int | None) -> None:
    """Refuse top-k with an objective that needs all of the teacher's logits.

    Raises:
        ValueError: that is so, or there is no objective of that name.
    """
    found = find_objective(objective)
    if topk is not None and not found.topk:
        serve = ", ".join(name for name in objectives() if (own := OBJECTIVES.known(name)) is not None and own.topk)
        raise ValueError(
            f"the objective {found.name!r} needs all of the teacher's logits, not topk = {topk}; with it: {serve}"
        )


def has_temperature(objective: object) -> bool:
    """Whether students of that objective were distilled at a temperature.

    By its name as a study's files have it: one that is known here no more had a temperature, as all losses have. A
    student without a teacher has none.
    """
    if objective in CONTROL_LOSSES:
        return False
    known = OBJECTIVES.known(objective)
    return known is None or known.has_temperature


def leading_objective(names: Iterable[str]) -> str:
    """The first with a temperature; the first where none has one; `hinton` where there is none at all."""
    found = list(names)
    return next(filter(has_temperature, found), found[0] if found else "hinton")


def reference_objective(names: Iterable[str]) -> str:
    """What others are compared with: `hinton` where it is among them, else the first with a temperature."""
    found = list(names)
    return "hinton" if "hinton" in found else leading_objective(found)


def option_mistakes(name: str, options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is wrong with the options that a configuration gives to a registered objective.

    Names are held against the function's own keyword arguments, numbers against their annotations, and values against
    the function itself, on a tiny example.

    Returns:
        Pairs of the option's name and the mistake.
    """
    function = find_objective(name)
    parameters = inspect.signature(function.function or function).parameters
    known = {key: p for key, p in parameters.items() if p.kind is p.KEYWORD_ONLY or p.default is not p.empty}
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    mistakes = []
    for key, value in options.items():
        if key not in known and not open_ended:
            tail = did_you_mean(key, known) if known else "it takes none"
            mistakes.append((key, f"the objective {name!r} has no such option; {tail}"))
        elif key in known and "float" in str(known[key].annotation) and not _is_number(value):
            mistakes.append((key, f"must be a finite number, got {value!r}"))
    if mistakes or not options:
        return mistakes
    import torch

    logits, targets = torch.zeros(2, 3), torch.tensor([0, 2])
    for key, value in options.items():
        try:
            function(logits, logits, 1.0, targets, **{key: value})
        except (TypeError, ValueError, RuntimeError) as error:
            mistakes.append((key, " ".join(str(error).split())))
    return mistakes


def needs_labels_unsaid(name: str) -> bool:
    """Whether a registered objective refuses to be asked without targets, and does not say so (`needs_targets`).

    Where images are mixed, only those that say so are asked once for each label. Asked on a tiny example.
    """
    objective = find_objective(name)
    if objective.function is None or objective.needs_targets:
        return False
    import torch

    logits = torch.zeros(2, 3)
    try:
        objective(logits, logits, 1.0, None)
    except Exception:  # another package's code may raise anything
        return True
    return False


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _times_squared(loss: Tensor, temperature: Tensor | float) -> Tensor:
    """T² · loss, per row (N,); the temperature is a number, 0-dimensional or (N, 1)."""
    squared = temperature**2
    return loss * (squared if isinstance(squared, int | float) or not squared.ndim else squared.squeeze(-1))


def _kl(teacher_logits: Tensor, student_log_probabilities: Tensor) -> Tensor:
    """KL(teacher ‖ student) per row, (N, K) → (N,). Teacher classes at −∞ (cut off by top-k) add nothing."""
    log_teacher = teacher_logits.log_softmax(-1)
    terms = log_teacher.exp() * (log_teacher - student_log_probabilities)
    return terms.masked_fill(log_teacher.isneginf(), 0).sum(-1)  # (N,)


@register_objective("hinton", fused=True)
def hinton(
    student_logits: Tensor, teacher_logits: Tensor, temperature: Tensor | float, targets: Tensor | None
) -> Tensor:
    """T² · KL(p_T(z_t) ‖ p_T(z_s)) per row (Hinton, Vinyals and Dean, 2015); the paper's objective."""
    loss = _kl(teacher_logits / temperature, (student_logits / temperature).log_softmax(-1))
    return _times_squared(loss, temperature)


@register_objective("teacher_only", fused=True)
def teacher_only(
    student_logits: Tensor, teacher_logits: Tensor, temperature: Tensor | float, targets: Tensor | None
) -> Tensor:
    """KL(p_T(z_t) ‖ p_1(z_s)) per row: only the teacher is softened, so no T² (Müller et al. 2019; TTM, ICLR 2024)."""
    return _kl(teacher_logits / temperature, student_logits.log_softmax(-1))


@register_objective("dkd", topk=False, needs_targets=True, fused=True)
def dkd(
    student_logits: Tensor,
    teacher_logits: Tensor,
    temperature: Tensor | float,
    targets: Tensor | None,
    *,
    alpha: float = 1.0,
    beta: float | Tensor = 8.0,
) -> Tensor:
    """T² · (alpha · target-class term + beta · non-target term) per row (DKD; Zhao et al., CVPR 2022).

    With p = p_T(z)_y the probability of the target class, and p̂ the softmax over the other classes alone, the terms are
    KL((p_t, 1 − p_t) ‖ (p_s, 1 − p_s)) and KL(p̂_t ‖ p̂_s). `hinton` is alpha = 1, beta = 1 − p_t of each row: there a
    teacher that is sure of the target mutes what it says about the other classes.

    Args:
        student_logits: (N, K).
        teacher_logits: (N, K).
        temperature: T.
        targets: (N,); needed.
        alpha: weight of the target-class term, at least 0; the paper's is 1.
        beta: weight of the non-target term, at least 0, or one per row (N,). 8 is the paper's for most pairs on
            CIFAR-100 (between 2 and 8, by the pair); on ImageNet it uses 0.5.

    Raises:
        ValueError: a weight is negative or not finite.
    """
    import torch

    assert targets is not None  # seen to by whoever asks for the objective, as it needs them
    for name, weight in (("alpha", alpha), ("beta", beta)):
        if not isinstance(weight, torch.Tensor) and not 0 <= weight < math.inf:
            raise ValueError(f"{name} must be a finite number of at least 0, got {weight}")
    own = torch.zeros_like(student_logits, dtype=torch.bool).scatter(-1, targets[:, None], True)  # (N, K)
    log_p, log_q = ((logits / temperature).log_softmax(-1) for logits in (teacher_logits, student_logits))
    # From logarithms: 1 − p would be rounded to 0 for a teacher that is sure.
    target = [
        torch.stack([log.gather(-1, targets[:, None])[:, 0], log.masked_fill(own, -math.inf).logsumexp(-1)], dim=-1)
        for log in (log_p, log_q)
    ]  # (N, 2) each
    target_term = (target[0].exp() * (target[0] - target[1])).sum(-1)
    # Without the target, log-probabilities of all classes are logits of the others.
    others = log_q.masked_fill(own, -math.inf).log_softmax(-1)
    other_term = _kl(log_p.masked_fill(own, -math.inf), others.masked_fill(own, 0))
    return _times_squared(alpha * target_term + beta * other_term, temperature)


@register_objective("logit_standard", topk=False, fused=True)
def logit_standard(
    student_logits: Tensor, teacher_logits: Tensor, temperature: Tensor | float, targets: Tensor | None
) -> Tensor:
    """`hinton` on standardised logits, per row (Sun et al., CVPR 2024).

    Each row of both sides becomes (z − mean) / (std + 1e-7) over the classes, the standard deviation with one degree of
    freedom removed. So the student need not match the size of the teacher's logits, only their pattern, and T means the
    same for teachers of any confidence.

    Raises:
        LossInputError: a teacher's logit is −∞, so that its row has no mean. On a GPU, where a look would make it wait,
            the loss is NaN instead.
    """
    import torch

    if teacher_logits.device.type == "cpu" and not torch.compiler.is_compiling() and teacher_logits.isneginf().any():
        raise LossInputError(
            "logit_standard needs finite teacher logits: one of −∞ leaves its row without a mean; leave masked classes "
            "out of both sides, or take another objective"
        )
    return hinton(_standardised(student_logits), _standardised(teacher_logits), temperature, targets)


def _standardised(logits: Tensor) -> Tensor:
    return (logits - logits.mean(-1, keepdim=True)) / (logits.std(-1, keepdim=True) + 1e-7)
