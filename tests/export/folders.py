"""Study folders of real data and real models that nobody has trained: no format asks what weights have learnt."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch

from tests.conftest import TINY
from tosmooth.config.schema import dump_config
from tosmooth.export.subject import Subject, choose
from tosmooth.files import write_text
from tosmooth.folder.paths import StudyDirectory
from tosmooth.folder.writing import write_record
from tosmooth.models.weights import save_weights
from tosmooth.recipes.reading import load_config
from tosmooth.tasks.find import find_task

TEACHER = "a0.1-s0"


def raw_study(model: dict[str, Any], **data: Any) -> dict[str, Any]:
    """A raw configuration of a study of the embedded images, with one teacher of that model."""
    raw = copy.deepcopy(TINY)
    raw["teacher"] |= {"model": model, "label_smoothing": [0.1]}
    raw["data"] |= {"limit_train": 100, "limit_test": 50, **data}
    return raw


def write_untrained(root: Path, raw: dict[str, Any], bias: float = 0.0) -> Path:
    """A study's folder as `train-teacher` leaves it, its one teacher with random weights.

    Args:
        root: folder of studies.
        raw: configuration.
        bias: of translations: added to the constant that some models of the library add to their logits.
    """
    config = load_config(raw)
    task, directory = find_task(config.task), StudyDirectory(root / config.name)
    model = task.new_model(config, task.load_data(config), config.teacher.model, 7)
    shaken = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in model.backbone.named_buffers():  # statistics that are not those of a new model
            if name.endswith("running_mean"):
                tensor.add_(0.1 * torch.randn(tensor.shape, generator=shaken))
        if bias:
            model.last_layer.bias.add_(bias * torch.randn(model.num_classes, generator=shaken))
    save_weights(model, directory.teacher(TEACHER) / "model.safetensors")
    write_record(directory.teacher(TEACHER), {"status": "done", "val/top1": 12.5, "parameters": 5})
    write_text(directory.config, dump_config(config))
    return directory.path


def subject_of(study: Path) -> Subject:
    """Its one teacher, loaded."""
    return choose(study, TEACHER).load()
