"""A teacher inside a foreign training loop: in eval mode, frozen, where the student is, and no part of the student."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tosmooth.errors import ModelError
from tosmooth.models.image_model import logits_of


class FrozenTeacher:
    """Inputs → the teacher's logits.

    No `nn.Module`, so that a student that holds it neither saves it, nor trains it, nor hands it to DDP.

    Args:
        model: the teacher. It is put into eval mode and frozen (`requires_grad_(False)`), for good.
        student: to be told apart from it.

    Raises:
        ModelError: the teacher is no module, is or shares parameters with the student, or is known to tell another
            number of classes apart.
    """

    def __init__(self, model: nn.Module, student: nn.Module | None = None) -> None:
        if not isinstance(model, nn.Module):
            raise ModelError(f"the teacher must be an nn.Module, got {type(model).__name__}")
        if student is not None:
            check_apart(model, student)
        self.model = model.eval().requires_grad_(False)

    def to(self, device: torch.device) -> None:
        """Move the teacher to a device; free where it is there."""
        self.model.to(device)

    def logits(self, beside: Tensor, *inputs: Any, **named_inputs: Any) -> Tensor:
        """The teacher's logits on a batch, without a graph.

        Args:
            beside: the student's logits on the batch, (N, K) or (B, L, K): the device, and what the shape must be.
            inputs, named_inputs: what the teacher is called with.

        Raises:
            ModelError: the teacher is in train mode, gives no logits, or logits of another shape.
        """
        if any(module.training for module in self.model.modules()):
            raise ModelError(
                "the teacher is in train mode: something has called .train() on it since it was given here. Its "
                "dropout and batch statistics would be part of the targets; call teacher.eval(), and do not make it a "
                "submodule of what is trained"
            )
        self.to(beside.device)
        with torch.no_grad():
            logits = logits_of(
                self.model(*map(self._cast, inputs), **{k: self._cast(v) for k, v in named_inputs.items()})
            )
        if logits.shape == beside.shape:
            return logits
        if logits.shape[-1:] != beside.shape[-1:]:
            raise ModelError(
                f"the teacher tells {logits.shape[-1]} classes apart, the student {beside.shape[-1]}: both need the "
                "same classes (of a vocabulary: the same tokens) in the same order"
            )
        raise ModelError(
            f"the teacher's logits are {tuple(logits.shape)}, the student's {tuple(beside.shape)}: both must be given "
            "the same samples (of sequences: the same decoder inputs)"
        )

    def _cast(self, value: Any) -> Any:
        """Floating-point inputs in the teacher's own type: a student trained in bfloat16 is fed bfloat16."""
        if (
            not isinstance(value, Tensor)
            or not value.is_floating_point()
            or torch.is_autocast_enabled(value.device.type)
        ):
            return value
        own = next((p.dtype for p in self.model.parameters() if p.is_floating_point()), value.dtype)
        return value.to(own)


def check_apart(teacher: nn.Module, student: nn.Module) -> None:
    """Raise a ModelError where they share parameters, or are known to tell another number of classes apart."""
    shared = {id(parameter) for parameter in teacher.parameters()} & {id(p) for p in student.parameters()}
    if teacher is student or shared:
        what = "are one model" if teacher is student else f"share {len(shared)} parameters"
        raise ModelError(f"teacher and student {what}: the teacher would be trained; give it a copy (copy.deepcopy)")
    counts = class_count(teacher), class_count(student)
    if None not in counts and counts[0] != counts[1]:
        raise ModelError(
            f"the teacher tells {counts[0]} classes apart, the student {counts[1]}: both need the same classes in the "
            "same order"
        )


def class_count(model: nn.Module) -> int | None:
    """K of a classifier that says it; None of one that does not, and of models of sequences."""
    config = getattr(model, "config", None)
    if config is not None:
        # Every configuration of transformers has num_labels; it means something where there is a map of their names.
        classifies = "Classification" in type(model).__name__
        return int(config.num_labels) if classifies and hasattr(config, "num_labels") else None
    count = getattr(model, "num_classes", None)
    return count if isinstance(count, int) else None
