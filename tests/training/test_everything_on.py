"""Mixed images, drop path, moving average, learning rates by layer, one cycle, all at once.

A student in a group is the student alone, and whoever stops goes on to the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from tosmooth.config.schema import ComputeConfig, StudentConfig
from tosmooth.config.training import MixingConfig
from tosmooth.data.augmentation import train_transform
from tosmooth.data.batches import SeededBatches
from tosmooth.data.mixing import Mixing
from tosmooth.data.registry import load_image_data
from tosmooth.models.build import ImageModel, build_image_model
from tosmooth.training.checkpoint import CheckpointStore, Position, State
from tosmooth.training.compute import Compute
from tosmooth.training.loop import Checkpointing, train_group
from tosmooth.training.loss_functions import distillation_from, label_smoothing_loss
from tosmooth.training.stopping import Stopping
from tosmooth.training.teaching import LiveTeachers
from tosmooth.training.trainee import Trainee

STUDENTS = {"T1": (1.0, 0.002), "T8": (8.0, 0.006), "control": (None, 0.002)}  # temperature and learning rate of each


@pytest.fixture(scope="module")
def data():
    return load_image_data("fashion_mnist_sample", limit_train=110, limit_test=20, validation=0.1)


@pytest.fixture(scope="module")
def teacher() -> ImageModel:
    return build_image_model("resnet8", 10, channels=1, width=0.25, seed=1)


class Trials:
    """Trains students by name, in one group."""

    def __init__(self, optimizer: str, data, teacher: ImageModel, folder: Path) -> None:
        self.optimizer, self.teacher, self.folder = optimizer, teacher, folder
        self.compute = Compute.from_config(ComputeConfig(device="cpu"))
        self.mixing = Mixing(MixingConfig(mixup=0.8, cutmix=1.0, probability=0.7), 10, seed=3)
        self.batches = SeededBatches(data.train, train_transform("crop_flip", 28), batch_size=33, seed=3, shuffle=True)

    def trainees(self, names: list[str], where: str) -> list[Trainee]:
        found = []
        for name in names:
            temperature, rate = STUDENTS[name]
            config = StudentConfig(
                model="timm:test_efficientnet", epochs=2, batch_size=33, gradient_clip=1.0,
                moving_average=0.95, schedule={"name": "one_cycle"},
                optimizer={
                    "name": self.optimizer, "learning_rate": rate, "weight_decay": 0.05, "layer_decay": 0.8,
                    "decay_norms_and_biases": False,
                },
            )  # fmt: skip
            loss = label_smoothing_loss(0.0)
            if temperature is not None:
                loss = distillation_from("teacher", temperature, "hinton", hard_weight=0.0)
            kwargs = {"drop_rate": 0.3, "drop_path_rate": 0.3}
            model = build_image_model("timm:test_efficientnet", 10, channels=1, seed=3, kwargs=kwargs)
            steps, own = len(self.batches), self.folder / where / name
            found.append(Trainee(name, model, loss, config, self.compute, 3, steps, own, None))
        return found

    def train(self, group: list[Trainee], **how) -> dict[str, dict[str, Tensor]]:
        teaching = LiveTeachers({"teacher": self.teacher}, self.compute)
        train_group(group, self.batches, compute=self.compute, teaching=teaching, mixing=self.mixing, **how)
        return {trainee.name: {**trainee.model.state_dict(), **averages(trainee)} for trainee in group}


def averages(trainee: Trainee) -> dict[str, Tensor]:
    return {f"average.{name}": value for name, value in trainee.kept.state_dict().items()}


def different(one: dict[str, Tensor], other: dict[str, Tensor]) -> list[str]:
    return [name for name, value in one.items() if not torch.equal(value, other[name])]


class Kept(Checkpointing):
    """Saves after every batch, and reads what it has saved."""

    def __init__(self, folder: Path) -> None:
        self.store, self.states = CheckpointStore(folder), dict[Position, State]()

    def due(self) -> bool:
        return True

    def save(self, position: Position, group: Sequence[Trainee]) -> None:
        self.store.write("group", position, [(trainee.name, trainee.state()) for trainee in group])
        self.states.setdefault(position, self.store.read("T8", position))

    def stopping(self) -> Stopping:
        return Stopping()


class Whole(NamedTuple):
    """A group that was trained without a stop: what it ended as, and the student T8 after each batch."""

    trials: Trials
    ended: dict[str, dict[str, Tensor]]
    states: dict[Position, State]


@pytest.fixture(scope="module", params=["adamw", pytest.param("lamb", marks=pytest.mark.slow)])
def whole(request: pytest.FixtureRequest, data, teacher, tmp_path_factory) -> Whole:
    folder = tmp_path_factory.mktemp(request.param)
    trials, kept = Trials(request.param, data, teacher, folder), Kept(folder / "checkpoints")
    return Whole(trials, trials.train(trials.trainees(list(STUDENTS), "whole"), checkpoints=kept), kept.states)


@pytest.mark.parametrize("name", ["T8", "control"])
def test_a_student_alone_is_the_student_of_the_group(whole: Whole, name: str):
    torch.rand(5)  # what the outside world draws must not matter
    alone = whole.trials.train(whole.trials.trainees([name], "alone"))
    assert different(alone[name], whole.ended[name]) == []


def test_students_of_a_group_do_differ_and_drop_paths(whole: Whole):
    assert different(whole.ended["T1"], whole.ended["T8"])
    assert different(whole.ended["T1"], whole.ended["control"])
    (student,) = whole.trials.trainees(["T8"], "looked at")
    assert max(getattr(part, "drop_prob", 0) or 0 for part in student.model.modules()) > 0.1
    rates = {group["lr_scale"] for group in student.optimizer.param_groups}
    assert len(rates) > 2
    assert max(rates) == 1


@pytest.mark.parametrize("at", [Position(0, 1), Position(1), Position(1, 2)])
def test_a_student_that_was_stopped_goes_on_to_the_same_bits(whole: Whole, at: Position):
    (later,) = whole.trials.trainees(["T8"], "later")
    later.restore(whole.states[at])
    assert different(whole.trials.train([later], start=at)["T8"], whole.ended["T8"]) == []
