"""Letters by their embeddings, then two layers."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from tosmooth.models.study_model import StudyModel
from tosmooth.models.weights import load_weights


class LetterModel(StudyModel):
    def classify(self, prepared):
        return self.backbone(prepared)

    def forward(self, inputs):
        return self.classify(inputs)


def build(name: str, letters: int, context: int, classes: int, seed: int, checkpoint: Path | None) -> LetterModel:
    width = int(name.removeprefix("letters-"))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = nn.Sequential(
            nn.Embedding(letters, width), nn.Flatten(), nn.Linear(context * width, width), nn.ReLU(),
            nn.Linear(width, classes),
        )  # fmt: skip
    model = LetterModel(network, name, classes).train()
    if checkpoint is not None:
        load_weights(model, checkpoint)
    return model
