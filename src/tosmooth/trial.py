"""A study in ten seconds on the real engine: trained through, trained with a stop in the middle, and compared."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from safetensors.torch import load_file

from tosmooth.errors import Interrupted, StudyError
from tosmooth.folder.paths import WEIGHTS_FILE
from tosmooth.recipes.reading import load_config
from tosmooth.study.context import Context
from tosmooth.study.progress import StudyProgress
from tosmooth.study.stages import train_grid

# Real images, stored logits, dropout, both kinds of models: all that a study does up to its analysis. At usual learning
# rates, or in bf16, twenty steps of a network this small make a rounding error as large as what a lost stream does.
LEARNING_RATE = 0.001
TRIAL: dict[str, Any] = {
    "name": "trial",
    "data": {"source": "fashion_mnist_sample", "limit_train": 320, "limit_test": 50, "train_augmentation": "flip"},
    "teacher": {
        "model": {"name": "resnet8", "kwargs": {"stem_stride": 2}}, "label_smoothing": [0.0, 0.1], "epochs": 1,
        "batch_size": 32, "optimizer": {"learning_rate": LEARNING_RATE},
    },
    "student": {
        "model": {"name": "timm:test_efficientnet", "kwargs": {"drop_rate": 0.3}}, "temperatures": [4], "seeds": [0],
        "controls": [], "epochs": 2, "batch_size": 32, "optimizer": {"learning_rate": LEARNING_RATE},
    },
    "cache": {"views": 2},
    "compute": {"checkpoint_minutes": 1000, "precision": "float32", "teacher_precision": "float32"},
}  # fmt: skip
STOP_AFTER = 5  # batches of the students: in the middle of an epoch


@dataclass(frozen=True)
class Trial:
    """What came out.

    Attributes:
        device: trained on.
        models: compared.
        stopped_after: batches of the students before the stop.
        largest_difference: of a model between the run with the stop and the one without, ‖a − b‖ / ‖a‖ over weights and
            buffers; 0 = the same bits.
        without_stop: the same between two runs without a stop, which is what this device does by itself; 0 where nobody
            had to ask.
        seconds: of all runs.
    """

    device: str
    models: int
    stopped_after: int
    largest_difference: float
    without_stop: float
    seconds: float


class _Stop(StudyProgress):
    """Asks the run to stop after some batches of the students, as a signal would."""

    def __init__(self, after: int | None) -> None:
        super().__init__(Console(quiet=True))
        self.context: Context | None = None
        self._remaining = after
        self._students = False

    def stage(self, title: str, *, epochs: int = 0, cost: float = 1.0, models: int = 1) -> None:
        super().stage(title, epochs=epochs, cost=cost, models=models)
        self._students = "students" in title

    def batch(self, epoch: int, images: int) -> None:
        super().batch(epoch, images)
        if self._remaining is not None and self._students and self.context is not None:
            self._remaining -= 1
            if self._remaining == 0:
                self.context.stopping.request(signal.SIGTERM)


def train_and_resume(folder: Path) -> Trial:
    """Train twice in `folder`, once with a stop, and compare all weights; where they differ, a third time.

    Raises:
        StudyError: the stop did not take place.
    """
    started = time.perf_counter()
    config = load_config(TRIAL)

    def train(root: Path, stop_after: int | None = None) -> Context:
        progress = _Stop(stop_after)
        with progress, Context.open(config, root, progress) as context:
            progress.context = context
            train_grid(context)
        return context

    whole = train(folder / "whole")
    try:
        train(folder / "stopped", STOP_AFTER)
    except Interrupted:
        resumed = train(folder / "stopped")
    else:
        raise StudyError("the trial came to its end although it was asked to stop")
    differences = _differences(whole, resumed)
    again = max(_differences(whole, train(folder / "again"))) if any(differences) else 0.0
    seconds = time.perf_counter() - started
    return Trial(whole.compute.device.type, len(differences), STOP_AFTER, max(differences), again, seconds)


def _differences(one: Context, other: Context) -> list[float]:
    """How far each model of one run is from that of the other, in units of its own size."""
    found = []
    for path in sorted(one.directory.path.rglob(WEIGHTS_FILE)):
        own, theirs = load_file(path), load_file(other.directory.path / path.relative_to(one.directory.path))
        a, b = (torch.cat([state[name].double().flatten() for name in own]) for state in (own, theirs))
        found.append(float((a - b).norm() / a.norm()))
    return found
