"""`torch.export`: the model with its preparation as a program that needs neither tosmooth nor the model's library."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tosmooth.errors import ModelError
from tosmooth.models.study_model import StudyModel

if TYPE_CHECKING:
    from tosmooth.export.subject import Subject

FILE = "model.pt2"


def trace(model: StudyModel, images: Tensor) -> Any:
    """An exported program: uint8 images (N, C, H, W) to logits (N, K), for any N of at least 1.

    Args:
        model: in eval mode.
        images: at least two examples; C, H and W are theirs from then on.

    Raises:
        ModelError: the model cannot be written down as a program.
    """
    # Two: torch.export takes a batch of one for a size that is always one.
    example = images[:2] if len(images) > 1 else images.expand(2, -1, -1, -1).contiguous()
    shapes = ({0: torch.export.Dim("batch", min=1)},)
    try:
        with torch.no_grad():
            return torch.export.export(_Program(model).eval(), (example,), dynamic_shapes=shapes, strict=False)
    except Exception as error:  # what tracing somebody's model raises has no end
        reason = " ".join(str(error).split())[:300]
        raise ModelError(
            f"{model.name}: torch.export cannot follow this model: {type(error).__name__}: {reason}"
        ) from None


def write(subject: Subject, folder: Path) -> None:
    """Write `model.pt2`."""
    torch.export.save(subject.program, folder / FILE)


def answers(subject: Subject, folder: Path, images: Tensor) -> Tensor:
    """Logits (N, K) of the written program."""
    logits: Tensor = torch.export.load(folder / FILE).module()(images)
    return logits


class _Program(nn.Module):
    """The model under a call whose argument is named as the program's input."""

    def __init__(self, model: StudyModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(images)
        return logits
