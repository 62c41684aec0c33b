"""Recorded steps are the steps, bit for bit; on the CPU, with a stand-in for CUDA graphs that has their rules."""

from __future__ import annotations

import dataclasses
import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import Tensor, nn

from tests.training.tape import Tape
from tests.training.test_everything_on import Trials, different
from tests.training.test_group import new_student
from tosmooth.config.schema import ComputeConfig, StudentConfig
from tosmooth.data.augmentation import train_transform
from tosmooth.data.batches import SeededBatches
from tosmooth.data.registry import load_image_data
from tosmooth.errors import ModelError
from tosmooth.models.build import ImageModel, build_image_model
from tosmooth.recipes.reading import load_config
from tosmooth.study.context import Context
from tosmooth.study.progress import StudyProgress
from tosmooth.study.trainees import new_trainee
from tosmooth.training import graphs as graphs_module
from tosmooth.training.checkpoint import Position
from tosmooth.training.compute import Compute
from tosmooth.training.forward import SharedInputs
from tosmooth.training.graphs import WARM_UP, no_graphs
from tosmooth.training.loop import train_group
from tosmooth.training.loss_functions import LossFunction, distillation_from, label_smoothing_loss
from tosmooth.training.teaching import LiveTeachers
from tosmooth.training.trainee import Trainee

SIZE, EPOCHS = 40, 3
PLAIN = Compute.from_config(ComputeConfig(device="cpu"))
TEMPERATURES = {"T1": 1.0, "T8": 8.0}


@pytest.fixture(scope="module")
def data():
    return load_image_data("fashion_mnist_sample", limit_train=110, limit_test=20, validation=0.1)


@pytest.fixture(scope="module")
def teacher() -> ImageModel:
    return build_image_model("resnet8", 10, channels=1, width=0.25, seed=1)


def with_tape() -> tuple[Compute, Tape]:
    tape = Tape()
    return dataclasses.replace(PLAIN, graphs=tape), tape


class Runs:
    """Trains students with dropout in batches of 40, 40 and 19."""

    def __init__(self, optimizer: str, data, teacher: ImageModel, folder: Path) -> None:
        self.optimizer, self.teacher, self.folder = optimizer, teacher, folder
        self.batches = SeededBatches(
            data.train, train_transform("crop_flip", 28), batch_size=SIZE, seed=3, shuffle=True
        )

    def student(self, name: str, compute: Compute) -> Trainee:
        config = StudentConfig(
            model="resnet8", epochs=EPOCHS, batch_size=SIZE, gradient_clip=1.0, moving_average=0.9,
            optimizer={"name": self.optimizer, "learning_rate": 0.01},
        )  # fmt: skip
        loss = distillation_from("teacher", TEMPERATURES[name], "hinton", hard_weight=0.0)
        folder = self.folder / name
        return Trainee(
            name, new_student(3), loss, config, compute, 3, len(self.batches), folder, None, looks_first=True
        )

    def train(self, group: list[Trainee], **how: Any) -> dict[str, dict[str, Tensor]]:
        compute = group[0].compute
        teaching = LiveTeachers({"teacher": self.teacher}, compute)
        train_group(group, self.batches, compute=compute, teaching=teaching, **how)
        return {trainee.name: trainee.state().tensors for trainee in group}


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_recorded_student_is_the_student(optimizer: str, data, teacher, tmp_path):
    """In a group, alone and after a stop: weights, average, optimiser, random stream and meters."""
    runs = Runs(optimizer, data, teacher, tmp_path)
    eager = runs.train([runs.student(name, PLAIN) for name in TEMPERATURES])
    compute, tape = with_tape()
    recorded = runs.train([runs.student(name, compute) for name in TEMPERATURES])
    assert [different(eager[name], recorded[name]) for name in eager] == [[], []]
    assert (tape.recorded, tape.replayed) == (2, 2 * (2 * EPOCHS - WARM_UP))
    assert tape.notes == []

    first, later = (runs.student("T8", compute) for _ in range(2))
    runs.train([first], stop=2)
    runs.train([later], stop=2)  # it has recorded a step, of tensors that are replaced now
    later.restore(first.state())
    assert different(eager["T8"], runs.train([later], start=Position(2))["T8"]) == []


def test_all_that_a_step_may_have_is_recorded(data, teacher, tmp_path):
    """Mixed images in some batches, drop path, learning rates by layer, one cycle."""
    trials = Trials("adamw", data, teacher, tmp_path)
    eager = trials.train(trials.trainees(["T8"], "eager"))
    trials.compute, tape = with_tape()
    assert different(eager["T8"], trials.train(trials.trainees(["T8"], "recorded"))["T8"]) == []
    assert tape.replayed > 0


def test_what_were_a_number_would_be_repeated(data, teacher, tmp_path, monkeypatch):
    """The stand-in finds it: a learning rate that is a number stays what it was when the step was recorded."""
    monkeypatch.setattr(graphs_module, "rates_as_tensors", lambda optimizer: None)
    runs = Runs("sgd", data, teacher, tmp_path)
    eager = runs.train([runs.student("T8", PLAIN)])
    assert "model.backbone.head.weight" in different(
        eager["T8"], runs.train([runs.student("T8", with_tape()[0])])["T8"]
    )


def one_trainee(compute: Compute, folder: Path, *, loss: LossFunction | None = None, **optimizer: Any) -> Trainee:
    config = StudentConfig(model="resnet8", epochs=1, batch_size=8, optimizer=optimizer)
    return Trainee("it", new_student(0), loss or label_smoothing_loss(0.0), config, compute, 0, 100, folder, None)


def images(data, **values: float) -> tuple[SharedInputs, Tensor]:
    pixels = torch.stack([data.train[i] for i in range(8)]).float() / 255
    return SharedInputs(pixels if not values else torch.full_like(pixels, values["of"])), data.train.labels[:8]


def test_a_replayed_batch_of_nan_moves_no_weight_and_neither_does_any_after_it(data, tmp_path):
    compute, tape = with_tape()
    trainee = one_trainee(compute, tmp_path)
    trainee.model.train()
    for _ in range(WARM_UP + 2):
        trainee.step(*images(data), {})
    before = {name: value.clone() for name, value in trainee.model.named_parameters()}
    trainee.step(*images(data, of=float("nan")), {})
    trainee.step(*images(data), {})
    assert tape.replayed == 4
    assert trainee.stopped.item() == 1
    assert all(torch.equal(value, before[name]) for name, value in trainee.model.named_parameters())
    trainee.fail(0)
    assert f"the loss became nan in epoch 1, at step {WARM_UP + 3};" in str(trainee.failure)


class DrawsOnTheHost(nn.Module):
    """Doubles its logits by a number that the host draws."""

    def __init__(self, backbone: nn.Module, draw: Callable[[], float]) -> None:
        super().__init__()
        self.backbone, self.draw = backbone, draw

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.backbone(images)
        return logits if self.draw() < 0.5 else 2 * logits


def test_steps_that_cannot_be_recorded_are_taken_as_they_are_and_say_why(data, tmp_path):
    def weights(compute: Compute, *, draw: Callable[[], float] | None = None, **how: Any) -> Tensor:
        trainee = one_trainee(compute, tmp_path, **how)
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002 - what models draw from
        if draw is not None:
            trainee.model.backbone = DrawsOnTheHost(trainee.model.backbone, draw)
        trainee.model.train()
        for _ in range(WARM_UP + 2):
            trainee.step(*images(data), {})
        return torch.cat([value.flatten() for value in trainee.model.parameters()])

    def check(compute: Compute, said: str, **how: Any) -> None:
        notes: list[str] = []
        assert compute.graphs is not None
        compute.graphs.note = notes.append
        assert torch.equal(weights(PLAIN, **how), weights(compute, **how))
        assert notes == [f"compute.graphs=auto records no steps here: {said}"]

    asked = Compute.from_config(ComputeConfig(device="cpu", graphs="auto"))
    check(asked, "only a CUDA card replays them, and this run is on cpu")
    compute, tape = with_tape()
    check(compute, "Lamb asks the host in each step whether to update", name="lamb")
    tape.replays_host = False
    draws = lambda: float(torch.rand([])), random.random, np.random.rand
    for draw in draws:
        check(compute, "it draws random numbers on the host, which a graph would repeat", draw=draw)
    assert tape.recorded == 0
    cuda = torch.device("cuda")
    assert no_graphs(cuda, 1, compiled=False) is None
    assert "several processes" in str(no_graphs(cuda, 2, compiled=False))
    assert "compiled" in str(no_graphs(cuda, 1, compiled=True))


def test_a_study_says_once_why(tiny_raw: dict[str, Any], tmp_path: Path) -> None:
    tiny_raw["compute"]["graphs"] = "auto"
    said = io.StringIO()
    context = Context.join(load_config(tiny_raw), tmp_path, StudyProgress(Console(file=said, width=200)))
    for cell in context.plan.cells[:2]:
        new_trainee(context, cell)
    assert said.getvalue().count("compute.graphs=auto records no steps here: only a CUDA card replays them") == 1


def test_a_step_that_asks_for_a_number_says_what_to_do(data, tmp_path):
    def loss(logits: Any, labels: Tensor, _: Any) -> Tensor:
        value = nn.functional.cross_entropy(logits, labels)
        return value if value.item() < 100 else value / 2

    trainee = one_trainee(with_tape()[0], tmp_path, loss=loss)
    for _ in range(WARM_UP):
        trainee.step(*images(data), {})
    with pytest.raises(ModelError, match=r"^it: its step cannot be recorded .*not permitted.*; set compute.graphs=off"):
        trainee.step(*images(data), {})


def test_memory_that_runs_out_in_a_recording_is_told_as_such(data, tmp_path):
    class Full(Tape):
        def record(self, step: Any) -> Any:
            try:
                raise torch.OutOfMemoryError("CUDA out of memory")
            finally:
                raise RuntimeError("operation failed due to a previous error during capture")

    trainee = one_trainee(dataclasses.replace(PLAIN, graphs=Full()), tmp_path)
    for _ in range(WARM_UP):
        trainee.step(*images(data), {})
    with pytest.raises(torch.OutOfMemoryError, match="CUDA out of memory"):
        trainee.step(*images(data), {})
