"""Distillation straight from the hidden states: the last layers, the softmaxes and the loss, a few rows at a time.

With a vocabulary of 32k, the logits of 4,096 tokens take half a gigabyte, and a plain distillation loss holds several
arrays of that size at once. Here the (N, K) logits never exist: rows go through both last layers in chunks, and the
gradients of a chunk are computed while its logits are at hand. Equal to `distillation_loss` on the full logits up to
rounding, in value and in every gradient.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from tosmooth.errors import did_you_mean
from tosmooth.losses.distillation import Reduction, as_divisor, check_labels, check_settings, check_temperature
from tosmooth.losses.objectives import check_topk, find_objective, fused_objectives

FusedObjective = Literal["dkd", "hinton", "logit_standard", "teacher_only"]
BY_HAND = ("hinton", "teacher_only")  # gradients written out below; those of the others come from autograd
# Measured: fewer rows waste the matrix products, more of them (or of memory) leave the caches.
CHUNK_BYTES = 32 * 2**20  # of one (rows, K) array in float32
CHUNK_ROWS = 512
FLOAT16_ROOM = 2.0**15  # half of the largest number in float16
LEAST = 1e-30  # below, a chunk has no gradient, and float32 no room for its inverse


def fused_linear_distillation(
    student_hidden: Tensor,
    student_weight: Tensor,
    teacher_hidden: Tensor,
    teacher_weight: Tensor,
    temperature: float | Tensor,
    *,
    student_bias: Tensor | None = None,
    teacher_bias: Tensor | None = None,
    objective: FusedObjective = "hinton",
    objective_kwargs: Mapping[str, Any] | None = None,
    targets: Tensor | None = None,
    hard_weight: float = 0.0,
    label_smoothing: float = 0.0,
    topk: int | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    chunk_size: int | None = None,
) -> Tensor:
    """`distillation_loss` of ``hidden @ weight.T + bias``, without holding the (N, K) logits.

    The last layers are computed in the type of their inputs (under autocast, in its type), softmaxes and sums over
    chunks in float32 or wider. The teacher gets no gradient. Tied weights need nothing special: the gradient of
    `student_weight` is added to what other uses of it give.

    Args:
        student_hidden: penultimate features, (N, D) or (B, L, D).
        student_weight: of the last layer, (K, D).
        teacher_hidden: (N, E) or (B, L, E); the teacher may have another width.
        teacher_weight: (K, E).
        temperature: T > 0, a number, a 0-dimensional tensor, or one value per row, (N,) or (B, L); no gradient.
        student_bias: (K,).
        teacher_bias: (K,).
        objective: "hinton", "teacher_only", "dkd" or "logit_standard"; the last two hold a few more (rows, K) arrays of
            a chunk.
        objective_kwargs: further keyword arguments of the objective, the same for all rows.
        targets: class indices, (N,) or (B, L). Rows whose target is `ignore_index` are left out.
        hard_weight: w in [0, 1].
        label_smoothing: smoothing of the hard-label term, in [0, 1).
        topk: keep only the teacher's k most likely classes of each row, renormalised.
        ignore_index: the target of rows that do not count.
        reduction: "mean" over the rows that count, "sum", or "none" → (N,) or (B, L), 0 where ignored; "none" computes
            the logits again in the backward pass.
        chunk_size: rows at a time; None = at most 512, and as many as keep an array of a chunk at 32 MiB.

    Returns:
        A scalar, or the loss per row. With no row left it is 0 and still has a graph.

    Raises:
        ValueError: shapes that do not fit, settings that `distillation_loss` refuses, or an objective other than these.
    """
    _check_shapes(student_hidden, student_weight, student_bias, "student")
    _check_shapes(teacher_hidden, teacher_weight, teacher_bias, "teacher")
    row_shape, classes = student_hidden.shape[:-1], len(student_weight)
    if teacher_hidden.shape[:-1] != row_shape or len(teacher_weight) != classes:
        raise ValueError(
            f"student: rows {tuple(row_shape)}, {classes} classes; teacher: rows {tuple(teacher_hidden.shape[:-1])}, "
            f"{len(teacher_weight)} classes; they must agree"
        )
    if objective not in (fused := fused_objectives()):
        raise ValueError(f"no objective {objective!r} in the fused loss; {did_you_mean(objective, fused)}")
    check_settings(hard_weight, label_smoothing, topk, reduction)
    check_topk(objective, topk)
    if any(isinstance(value, Tensor) and value.ndim for value in (objective_kwargs or {}).values()):
        raise ValueError("objective_kwargs must hold numbers here: rows come in chunks, so no value can be one per row")
    if objective in BY_HAND and objective_kwargs:
        raise ValueError(f"the objective {objective!r} takes no options; got {', '.join(objective_kwargs)}")
    if find_objective(objective).needs_targets and targets is None:
        raise ValueError(f"the objective {objective!r} needs targets")
    if hard_weight > 0 and targets is None:
        raise ValueError(f"hard_weight = {hard_weight} needs targets")
    if topk is not None and topk > classes:
        raise ValueError(f"topk must be in [1, {classes}], got {topk}")
    if chunk_size is not None and chunk_size < 1:
        raise ValueError(f"chunk_size must be at least 1, got {chunk_size}")
    if targets is not None and (targets.shape != row_shape or targets.is_floating_point()):
        raise ValueError(
            f"targets must be class indices of shape {tuple(row_shape)}, got {targets.dtype} of shape "
            f"{tuple(targets.shape)}" + "; distillation_loss takes class probabilities" * targets.is_floating_point()
        )
    check_labels(targets, classes, ignore_index)
    rows, device = row_shape.numel(), student_hidden.device.type
    with torch.no_grad():
        wide = torch.promote_types(student_hidden.dtype, torch.float32)
        check_temperature(temperature)
        divisor = as_divisor(temperature, row_shape, student_hidden.new_empty((), dtype=wide))
    settings = _Settings(
        temperature=divisor,
        objective=objective,
        objective_kwargs=dict(objective_kwargs or {}),
        targets=None if targets is None else targets.reshape(rows).to(torch.int64),
        hard_weight=hard_weight,
        label_smoothing=label_smoothing,
        topk=None if topk == classes else topk,
        ignore_index=ignore_index,
        reduction=reduction,
        chunk=chunk_size or max(1, min(CHUNK_ROWS, CHUNK_BYTES // (4 * classes))),
        lower=torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None,
    )
    loss: Tensor = _FusedLinear.apply(
        student_hidden.reshape(rows, student_hidden.shape[-1]),
        student_weight,
        student_bias,
        teacher_hidden.detach().reshape(rows, teacher_hidden.shape[-1]),
        teacher_weight.detach(),
        None if teacher_bias is None else teacher_bias.detach(),
        settings,
    )
    return loss.reshape(row_shape) if reduction == "none" else loss


def _check_shapes(hidden: Tensor, weight: Tensor, bias: Tensor | None, who: str) -> None:
    if hidden.ndim not in {2, 3} or weight.ndim != 2 or hidden.shape[-1] != weight.shape[1]:
        raise ValueError(
            f"{who}: hidden {tuple(hidden.shape)} and weight {tuple(weight.shape)} must be (N, D) or (B, L, D), (K, D)"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"{who}: bias has shape {tuple(bias.shape)}; expected {tuple(weight.shape[:1])}")


@dataclass(frozen=True)
class _Settings:
    """What the chunks have in common."""

    temperature: float | Tensor  # a number, 0-dimensional, or (N, 1)
    objective: str
    objective_kwargs: dict[str, Any]
    targets: Tensor | None
    hard_weight: float
    label_smoothing: float
    topk: int | None
    ignore_index: int
    reduction: str
    chunk: int
    lower: torch.dtype | None  # autocast's type for the last layers

    def temperature_of(self, rows: slice) -> float | Tensor:
        per_row = isinstance(self.temperature, Tensor) and self.temperature.ndim
        return self.temperature[rows] if per_row else self.temperature  # type: ignore[index]


class _FusedLinear(torch.autograd.Function):
    """The loss; for "mean" and "sum" its gradients come out of the forward pass, to be scaled in the backward."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        *tensors, settings = inputs
        ctx.settings = settings
        layers = _Layers(settings, *tensors)
        if settings.reduction == "none":
            ctx.save_for_backward(*tensors)
            return layers.walk(layers.row_scale(), None)
        needs = ctx.needs_input_grad[:3]
        gradients = _Gradients(layers, needs) if any(needs) else None
        losses = layers.walk(layers.row_scale(), gradients)
        ctx.types = layers.types
        ctx.save_for_backward(*([None] * 3 if gradients is None else gradients.parts()))
        return losses.sum()

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = upstream
        if ctx.settings.reduction == "none":
            layers = _Layers(ctx.settings, *ctx.saved_tensors)
            gradients = _Gradients(layers, ctx.needs_input_grad[:3])
            layers.walk(layers.row_scale() * grad, gradients)
            found, types = gradients.parts(), layers.types
        else:  # what comes down may be a loss scale, which brings a gradient back into the range of float16
            found = [None if part is None else part * grad.to(part.dtype) for part in ctx.saved_tensors]
            types = ctx.types
        parts = [None if part is None else part.to(kind) for part, kind in zip(found, types, strict=True)]
        return (*parts, None, None, None, None)


class _Layers:
    """Both last layers and their inputs, in the type they are computed in."""

    def __init__(
        self,
        settings: _Settings,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        teacher_hidden: Tensor,
        teacher_weight: Tensor,
        teacher_bias: Tensor | None,
    ) -> None:
        self.settings = settings
        self.given = hidden, weight, bias
        self.types = hidden.dtype, weight.dtype, None if bias is None else bias.dtype  # of the gradients
        self.wide = torch.promote_types(hidden.dtype, torch.float32)

        def computed(part: Tensor) -> Tensor:
            return part if settings.lower is None else part.to(settings.lower)

        self.hidden, self.weight = computed(hidden), computed(weight)
        self.bias = None if bias is None else computed(bias)
        self.teacher_hidden, self.teacher_weight = computed(teacher_hidden), computed(teacher_weight)
        self.teacher_bias = None if teacher_bias is None else computed(teacher_bias)

    def row_scale(self) -> Tensor:
        """(N,) weight of each row in the result: 0 where ignored, and divided by the rows that count for the mean."""
        settings = self.settings
        kept = torch.ones(len(self.hidden), device=self.hidden.device, dtype=self.wide)
        if settings.targets is not None:
            kept = (settings.targets != settings.ignore_index).to(self.wide)
        return kept / kept.sum().clamp(min=1) if settings.reduction == "mean" else kept

    def walk(self, scale: Tensor, gradients: _Gradients | None) -> Tensor:
        """The loss of every row times its scale, (N,); gradients are added up on the way."""
        settings, losses = self.settings, torch.empty_like(scale)
        with torch.autocast(self.hidden.device.type, enabled=False):
            for start in range(0, len(self.hidden), settings.chunk):
                rows = slice(start, min(start + settings.chunk, len(self.hidden)))
                targets = None if settings.targets is None else settings.targets[rows]
                hidden = self.hidden[rows]
                if targets is not None:
                    # Ignored rows may hold anything, NaN included, and 0 · NaN would reach the weight's gradient.
                    hidden = hidden.masked_fill((targets == settings.ignore_index)[:, None], 0)
                student = F.linear(hidden, self.weight, self.bias).to(self.wide)
                teacher = F.linear(self.teacher_hidden[rows], self.teacher_weight, self.teacher_bias).to(self.wide)
                if targets is not None:
                    kept = targets != settings.ignore_index
                    student.masked_fill_(~kept[:, None], 0)
                    teacher.masked_fill_(~kept[:, None], 0)
                    targets = targets.masked_fill(~kept, 0)
                chunk = _chunk if settings.objective in BY_HAND else _chunk_by_autograd
                loss, gradient = chunk(
                    student, teacher, targets, settings, settings.temperature_of(rows), gradients is not None
                )
                losses[rows] = loss * scale[rows]
                if gradients is not None and gradient is not None:
                    gradients.add(rows, gradient.mul_(scale[rows, None]), hidden, self.weight)
        return losses


class _Gradients:
    """Accumulators for hidden states, weight and bias, wide while adding up.

    A mean over N rows makes gradients too small for float16 before a loss scale can help. There, a chunk's gradient is
    multiplied in float16 as large as its products allow, and all three stay wide until they are handed back.
    """

    def __init__(self, layers: _Layers, needs: tuple[bool, ...]) -> None:
        hidden, weight, bias = layers.given
        self.types, self.wide = layers.types, layers.wide
        self.narrow = layers.hidden.dtype == torch.float16
        kind = layers.hidden.dtype
        if self.narrow:
            kind, self.largest_weight = layers.wide, layers.weight.abs().amax().to(layers.wide).clamp(min=1)
        self.hidden = torch.empty(hidden.shape, device=hidden.device, dtype=kind) if needs[0] else None
        self.weight = torch.zeros_like(weight, dtype=layers.wide) if needs[1] else None
        self.bias = torch.zeros_like(bias, dtype=layers.wide) if bias is not None and needs[2] else None

    def add(self, rows: slice, gradient: Tensor, hidden: Tensor, weight: Tensor) -> None:
        """Add what a chunk's gradient with respect to its logits, (rows, K), implies; it is consumed."""
        if self.bias is not None:
            self.bias += gradient.sum(0)
        if self.narrow:
            sizes = gradient.abs()
            of_hidden = sizes.sum(1).amax() * self.largest_weight
            of_weight = sizes.sum(0).amax() * hidden.abs().amax().to(self.wide).clamp(min=1)
            # No entry of either product is beyond the room for it.
            unit = torch.maximum(of_hidden, of_weight).clamp(min=LEAST) / FLOAT16_ROOM
            gradient = gradient.div_(unit).to(hidden.dtype)
            if self.hidden is not None:
                torch.mul((gradient @ weight).to(self.wide), unit, out=self.hidden[rows])
            if self.weight is not None:
                self.weight.addcmul_((gradient.T @ hidden).to(self.wide), unit)
            return
        gradient = gradient.to(hidden.dtype)
        if self.hidden is not None:
            torch.mm(gradient, weight, out=self.hidden[rows])
        if self.weight is not None and self.weight.dtype == hidden.dtype:
            self.weight.addmm_(gradient.T, hidden)
        elif self.weight is not None:
            self.weight += torch.mm(gradient.T, hidden)

    def parts(self) -> list[Tensor | None]:
        """Gradients in the inputs' types; in float16, which they may be too small for, wide."""
        found = zip((self.hidden, self.weight, self.bias), self.types, strict=True)
        return [None if part is None else part if self.narrow else part.to(kind) for part, kind in found]


def _chunk(
    student: Tensor,
    teacher: Tensor,
    targets: Tensor | None,
    settings: _Settings,
    temperature: float | Tensor,
    want_gradient: bool,
) -> tuple[Tensor, Tensor | None]:
    """Loss per row of a chunk of logits, and its gradient with respect to the student's. Both arguments are consumed.

    With p = softmax(teacher / T) and q_T that of the student, the gradient of T² · KL(p ‖ q_T) is T · (q_T − p), that
    of KL(p ‖ q_1) is q_1 − p, and that of the cross-entropy with smoothed labels y_α is q_1 − y_α.
    """
    softened = settings.objective == "hinton"
    w, kept = settings.hard_weight, None
    if settings.topk is not None:
        teacher, kept = teacher.topk(settings.topk, dim=-1)
    log_p = F.log_softmax(teacher.div_(temperature), dim=-1)
    p = log_p.exp()
    log_q1 = F.log_softmax(student, dim=-1) if w > 0 or not softened else None
    log_q = F.log_softmax(student.div_(temperature), dim=-1) if softened else log_q1
    assert log_q is not None
    terms = log_p.sub_(log_q if kept is None else log_q.gather(-1, kept)).mul_(p)
    loss = terms.masked_fill_(p == 0, 0).sum(-1)
    if softened:
        loss = loss * _column(temperature) ** 2
    if w > 0:
        assert log_q1 is not None
        assert targets is not None
        loss = (1 - w) * loss + w * _smoothed_cross_entropy(log_q1, targets, settings.label_smoothing)
    if not want_gradient:
        return loss, None
    gradient = log_q.exp()
    if kept is None:
        gradient.sub_(p)
    else:
        gradient.scatter_add_(-1, kept, -p)
    if softened or w > 0:
        gradient.mul_((1 - w) * temperature if softened else 1 - w)
    if w > 0:
        assert log_q1 is not None
        assert targets is not None
        hard = log_q1.exp_().sub_(settings.label_smoothing / log_q1.shape[-1])
        hard.scatter_add_(-1, targets[:, None], hard.new_full((len(hard), 1), settings.label_smoothing - 1))
        gradient.add_(hard, alpha=w)
    return loss, gradient


def _chunk_by_autograd(
    student: Tensor,
    teacher: Tensor,
    targets: Tensor | None,
    settings: _Settings,
    temperature: float | Tensor,
    want_gradient: bool,
) -> tuple[Tensor, Tensor | None]:
    """The same for any objective whose rows do not depend on each other: its graph lives as long as the chunk."""
    w = settings.hard_weight
    with torch.set_grad_enabled(want_gradient):
        student = student.detach().requires_grad_(want_gradient)
        loss = find_objective(settings.objective)(student, teacher, temperature, targets, **settings.objective_kwargs)
        if w > 0:
            assert targets is not None
            hard = F.cross_entropy(student, targets, label_smoothing=settings.label_smoothing, reduction="none")
            loss = (1 - w) * loss + w * hard
        if not want_gradient:
            return loss, None
        (gradient,) = torch.autograd.grad(loss.sum(), student)
    return loss.detach(), gradient


def _smoothed_cross_entropy(log_q: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    """Per row, from log-probabilities (rows, K)."""
    own = log_q.gather(-1, targets[:, None])[:, 0]
    return -(1 - smoothing) * own - smoothing * log_q.mean(-1) if smoothing else -own


def _column(temperature: float | Tensor) -> float | Tensor:
    return temperature[:, 0] if isinstance(temperature, Tensor) and temperature.ndim else temperature
