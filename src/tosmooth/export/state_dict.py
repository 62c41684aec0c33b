"""Weights alone, by the names of the library that the model came from: safetensors, or a PyTorch file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tosmooth.models.image_model import ImageModel
from tosmooth.models.weights import backbone_of, load_weights, save_weights

if TYPE_CHECKING:
    from tosmooth.export.subject import Subject

SAFETENSORS, PYTORCH = "model.safetensors", "model.pth"


def write_safetensors(subject: Subject, folder: Path) -> None:
    """Write `model.safetensors`. What the model does to images beforehand stands in its metadata."""
    save_weights(subject.model, folder / SAFETENSORS)


def write_pytorch(subject: Subject, folder: Path) -> None:
    """Write `model.pth`: a plain state dict, which opens with `torch.load(…, weights_only=True)`."""
    state = {name: tensor.detach().cpu() for name, tensor in backbone_of(subject.model).state_dict().items()}
    torch.save(state, folder / PYTORCH)


def answers_of_safetensors(subject: Subject, folder: Path, images: Tensor) -> Tensor:
    """Logits (N, K) of a model that was built anew and given the written weights."""
    model = subject.fresh_model()
    load_weights(model, folder / SAFETENSORS)
    return _logits(model, images)


def answers_of_pytorch(subject: Subject, folder: Path, images: Tensor) -> Tensor:
    """Logits (N, K) of a model that was built anew and given the written weights."""
    model = subject.fresh_model()
    load_weights(model, folder / PYTORCH)
    if isinstance(model, ImageModel):  # a plain state dict says nothing of the preparation
        model.use_input(subject.classifier.input)
    return _logits(model, images)


def _logits(model: torch.nn.Module, inputs: Tensor) -> Tensor:
    with torch.no_grad():
        logits: Tensor = model.eval()(inputs)
    return logits
