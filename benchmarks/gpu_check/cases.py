"""The students that steps are looked at with: two of images, one of sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from tosmooth.data.batches import Batch
from tosmooth.models.build import build_image_model
from tosmooth.models.study_model import StudyModel
from tosmooth.models.translation_inputs import TokenInputs
from tosmooth.recipes.reading import load_config
from tosmooth.training.compute import Compute
from tosmooth.training.forward import Answer, SharedInputs
from tosmooth.training.loss_functions import distillation_from
from tosmooth.training.teaching import LiveTeachers
from tosmooth.training.trainee import Trainee

CLASSES = {"images": 10, "sentences": 4000}


@dataclass(frozen=True)
class Case:
    """A student with a teacher of its own architecture, and one batch.

    Attributes:
        name: in the table.
        model: by name.
        side: of images in pixels; None for sentences.
        size: images or sentences a batch.
        short: the same where seconds count.
    """

    name: str
    model: str
    side: int | None
    size: int
    short: int

    @property
    def kind(self) -> str:
        return "images" if self.side else "sentences"

    def build(self, seed: int) -> StudyModel:
        """A fresh model, without dropout: a CPU and a card drop other units."""
        if self.side:
            channels = 1 if self.side == 28 else 3
            return build_image_model(self.model, CLASSES["images"], channels=channels, image_size=self.side, seed=seed)
        from tosmooth.models.translation import build_translation_model

        words: Any = SimpleNamespace(pad=0, start=1, eos=2, unk=3, size=CLASSES["sentences"])
        return build_translation_model(self.model, words, max_length=32, kwargs={"dropout": 0.0}, seed=seed)

    def batch(self, *, short: bool) -> Batch:
        """The same batch each time."""
        random = torch.Generator().manual_seed(0)
        size = self.short if short else self.size
        if self.side:
            channels = 1 if self.side == 28 else 3
            images = torch.randint(256, (size, channels, self.side, self.side), dtype=torch.uint8, generator=random)
            return Batch(images, torch.arange(size) % CLASSES["images"], torch.arange(size))
        ids = torch.randint(4, CLASSES["sentences"], (size, 24), generator=random)
        places = torch.arange(ids.numel())
        return Batch(TokenInputs(ids, torch.ones_like(ids, dtype=torch.bool), ids, places), ids.flatten(), places)


SMALL = Case("ResNet-8", "resnet8", 28, 128, 8)
CASES = (
    SMALL,
    Case("ResNet-18 at 224", "torchvision:resnet18", 224, 64, 2),
    Case("small Transformer", "transformer_small", None, 128, 2),
)


class Student:
    """A case's student in training on a device, and its teacher's answers to the batch.

    Args:
        case: which.
        compute: device and precision.
        objective: of the distillation.
        short: whether seconds count.
        options: further arguments of the trainee.
    """

    def __init__(self, case: Case, compute: Compute, *, objective: str = "hinton", short: bool, **options: Any) -> None:
        recipe = "fashion-mnist" if case.side else "translation-en-de"
        config = load_config(recipe, []).student
        loss = distillation_from("t", 4.0, objective, 0.1)
        self.batch = compute.put(case.batch(short=short))
        config = config.model_copy(update={"batch_size": len(self.batch.labels)})  # a whole one, which is recorded
        self.trainee = Trainee(case.name, case.build(0).train(), loss, config, compute, 0, 100, Path(), None, **options)
        self.inputs = SharedInputs(self.batch.inputs, channels_last=compute.channels_last)
        self.teachers = LiveTeachers({"t": compute.place(case.build(1))}, compute, fused=options.get("fused", False))
        self.said: Mapping[str, Answer] = self.teachers.answers(self.batch, self.inputs)

    def step(self) -> None:
        """One step on the batch."""
        self.trainee.step(self.inputs, self.batch.labels, self.said)

    def weights(self) -> Tensor:
        """All weights in one row, float64 on the CPU."""
        return torch.cat([p.detach().double().cpu().flatten() for p in self.trainee.model.parameters()])

    def loss(self) -> float:
        """Of the last step."""
        return float(self.trainee._last_loss)
