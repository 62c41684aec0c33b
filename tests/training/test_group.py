"""A student trained in a group ends bit-equal to the same student trained alone."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tosmooth.config.schema import ComputeConfig, StudentConfig
from tosmooth.data.augmentation import train_transform
from tosmooth.data.batches import SeededBatches
from tosmooth.data.registry import load_image_data
from tosmooth.errors import ModelError, NonFiniteError
from tosmooth.models.build import ImageModel, build_image_model
from tosmooth.models.image_model import InputSpec
from tosmooth.training.checkpoint import Position
from tosmooth.training.compute import Compute
from tosmooth.training.forward import SharedInputs
from tosmooth.training.loop import train_group
from tosmooth.training.loss_functions import distillation_from, label_smoothing_loss
from tosmooth.training.teaching import LiveTeachers
from tosmooth.training.trainee import Trainee

CELLS = [("plain", 1.0), ("plain", 4.0), ("smoothed", 1.0), ("smoothed", 64.0)]


class WithDropout(nn.Module):
    """A network with batch normalisation and dropout: both would betray a shared random stream or a shared buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout2d(0.2),
            nn.Conv2d(8, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        )  # fmt: skip
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(16, 10)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.dropout(self.features(images)))
        return logits


def new_student(seed: int) -> ImageModel:
    model = build_image_model("resnet8", 10, channels=1, seed=seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model.backbone = WithDropout()
    return model


@pytest.fixture(scope="module")
def data():
    return load_image_data("fashion_mnist_sample", limit_train=330, limit_test=20, validation=0.1)


@pytest.fixture(scope="module")
def teachers() -> Mapping[str, ImageModel]:
    return {
        name: build_image_model("resnet8", 10, channels=1, width=0.5, seed=i)
        for i, name in enumerate(["plain", "smoothed"])
    }


def train(
    cells, data, teachers, folder: Path, precision: str, clip: float | None = 1.0
) -> dict[str, dict[str, Tensor]]:
    compute = Compute.from_config(ComputeConfig(device="cpu", precision=precision))
    config = StudentConfig(model="resnet8", epochs=2, batch_size=64, gradient_clip=clip)
    batches = SeededBatches(data.train, train_transform("crop_flip", 28), batch_size=64, seed=3, shuffle=True)
    group = [
        Trainee(
            name=f"{teacher}-{temperature:g}",
            model=new_student(seed=3),
            loss_function=distillation_from(teacher, temperature, "hinton", hard_weight=0.0),
            config=config,
            compute=compute,
            seed=3,
            steps_per_epoch=len(batches),
            folder=folder / f"{teacher}-{temperature:g}",
            select_by=None,
        )
        for teacher, temperature in cells
    ]
    train_group(group, batches, compute=compute, teaching=LiveTeachers(teachers, compute))
    return {trainee.name: trainee.model.state_dict() for trainee in group}


@pytest.mark.parametrize("precision", ["float32", pytest.param("bf16", marks=pytest.mark.slow)])
def test_group_equals_solo_bit_for_bit(data, teachers, tmp_path, precision):
    together = train(CELLS, data, teachers, tmp_path / "together", precision)
    for cell in CELLS:
        torch.rand(5)  # what the outside world draws must not matter
        (name, alone), *_ = train([cell], data, teachers, tmp_path / "alone", precision).items()
        for key, value in alone.items():
            assert torch.equal(value, together[name][key]), f"{name}: {key}"


def test_cells_of_a_group_do_differ(data, teachers, tmp_path):
    states = train(CELLS, data, teachers, tmp_path, "float32")
    weights = [state["backbone.head.weight"] for state in states.values()]
    for i, one in enumerate(weights):
        for other in weights[i + 1 :]:
            assert not torch.equal(one, other)


def one_trainee(folder: Path, loss, *, optimizer: str = "sgd", clip: float | None = None) -> Trainee:
    config = StudentConfig(model="resnet8", epochs=1, optimizer={"name": optimizer}, gradient_clip=clip)
    compute = Compute.from_config(ComputeConfig(device="cpu"))
    return Trainee("it", new_student(0), loss, config, compute, 0, 100, folder, None)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "nadamw", "adopt", "lamb", "lars", "lion"])
@pytest.mark.parametrize("clip", [None, 1.0])
@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_a_step_that_is_not_finite_changes_no_weight_and_neither_does_any_after_it(
    data, tmp_path, optimizer, clip, where
):
    """The flag acts on the device, in the very step; the host hears of it later, with the step and the cause."""
    poison = {"on": False}

    def loss(logits, labels, _):
        value = nn.functional.cross_entropy(logits, labels)
        if not poison["on"]:
            return value
        # √0 is finite, its gradient is not.
        return value * float("nan") if where == "loss" else value + (logits.sum() * 0).sqrt()

    trainee = one_trainee(tmp_path, loss, optimizer=optimizer, clip=clip)
    trainee.model.train()
    inputs, labels = SharedInputs(torch.stack([data.train[i] for i in range(32)])), data.train.labels[:32]
    for _ in range(3):
        trainee.step(inputs, labels, {})
    before = {name: value.clone() for name, value in trainee.model.named_parameters()}
    poison["on"] = True
    trainee.step(inputs, labels, {})
    poison["on"] = False
    trainee.step(inputs, labels, {})
    assert trainee.stopped.item() == 1
    for name, value in trainee.model.named_parameters():
        assert torch.equal(value, before[name]), name
    trainee.fail(0)
    cause = "loss became nan" if where == "loss" else "gradient became infinite or NaN"
    assert trainee.failure is not None
    assert f"it: the {cause} in epoch 1, at step 4;" in trainee.failure


def test_one_preparation_serves_all_models_that_want_the_same(data):
    """And no model can change what the next one sees."""
    images = torch.stack([data.train[i] for i in range(4)])
    first, second = new_student(0), new_student(1)
    other = new_student(2)
    other.use_input(InputSpec(channels=1, size=14))
    inputs = SharedInputs(images)
    shown = inputs.of(first)
    assert inputs.of(second) is shown
    assert torch.equal(shown, first.prepare(images))
    assert inputs.of(other).shape[-1] == 14
    shown.zero_()
    assert torch.equal(inputs.of(second), second.prepare(images))


def test_a_student_that_diverges_leaves_the_others_alone(data, teachers, tmp_path):
    compute = Compute.from_config(ComputeConfig(device="cpu"))
    batches = SeededBatches(data.train, train_transform("none", None), batch_size=64, seed=0, shuffle=True)

    def trainee(name: str, rate: float) -> Trainee:
        config = StudentConfig(model="resnet8", epochs=2, batch_size=64, optimizer={"learning_rate": rate})
        return Trainee(
            name, new_student(0), label_smoothing_loss(0.0), config, compute, 0, len(batches), tmp_path / name, None
        )

    good, bad = trainee("good", 0.05), trainee("bad", 1e30)
    train_group([good, bad], batches, compute=compute)
    assert good.failure is None
    assert (tmp_path / "good" / "model.safetensors").exists()
    assert bad.failure is not None
    assert "bad" in bad.failure
    assert "learning rate" in bad.failure
    assert not (tmp_path / "bad" / "model.safetensors").exists()

    with pytest.raises(NonFiniteError, match="bad"):
        train_group([trainee("bad", 1e30)], batches, compute=compute)


@pytest.mark.skipif(not any(shutil.which(name) for name in ("g++", "clang++")), reason="needs a C++ compiler")
@pytest.mark.slow
def test_compiled_equals_eager(data, tmp_path):
    """Up to rounding, and with one graph for all students of the architecture."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    steps = {}
    for mode in ("off", "on"):
        compute = Compute.from_config(ComputeConfig(device="cpu", compile=mode))
        config = StudentConfig(model="resnet8", epochs=1, optimizer={"learning_rate": 0.01})
        for seed in range(3):
            model = build_image_model("resnet8", 10, channels=1, width=0.25, seed=seed)
            trainee = Trainee(
                f"{mode}{seed}",
                model,
                label_smoothing_loss(0.0),
                config,
                compute,
                0,
                9,
                tmp_path / f"{mode}{seed}",
                None,
            )
            trainee.model.train()
            inputs, labels = SharedInputs(torch.stack([data.train[i] for i in range(32)])), data.train.labels[:32]
            trainee.step(inputs, labels, {})  # one: rounding grows from step to step, with every ReLU that it flips
            steps[mode, seed] = trainee.model.state_dict()
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
    for seed in range(3):
        start = build_image_model("resnet8", 10, channels=1, width=0.25, seed=seed).state_dict()
        for key, value in steps["off", seed].items():
            moved = (value - start[key]).float().norm()
            # 1e-5: gradients of a normalisation's scale are small differences of large sums, and rounded accordingly.
            assert (value - steps["on", seed][key]).float().norm() <= 0.05 * moved + 1e-5, key


def test_a_part_of_a_group_that_stopped_goes_on_as_if_nothing_had_happened(data, teachers, tmp_path):
    """All stop after epoch 1 of 2; then one goes on without the others, from its saved state."""
    whole = train(CELLS, data, teachers, tmp_path / "whole", "float32")
    compute = Compute.from_config(ComputeConfig(device="cpu"))
    config = StudentConfig(model="resnet8", epochs=2, batch_size=64, gradient_clip=1.0)
    batches = SeededBatches(data.train, train_transform("crop_flip", 28), batch_size=64, seed=3, shuffle=True)
    teaching = LiveTeachers(teachers, compute)

    def trainees(cells) -> list[Trainee]:
        return [
            Trainee(
                name=f"{teacher}-{temperature:g}",
                model=new_student(seed=3),
                loss_function=distillation_from(teacher, temperature, "hinton", hard_weight=0.0),
                config=config,
                compute=compute,
                seed=3,
                steps_per_epoch=len(batches),
                folder=tmp_path / "parts" / f"{teacher}-{temperature:g}",
                select_by=None,
            )
            for teacher, temperature in cells
        ]

    group = trainees(CELLS)
    train_group(group, batches, compute=compute, teaching=teaching, stop=1)
    assert {trainee.step_count for trainee in group} == {len(batches)}
    assert not list(tmp_path.glob("parts/*/*.safetensors"))  # nobody has come to the end
    (left,) = trainees(CELLS[-1:])
    left.restore(group[-1].state())
    train_group([left], batches, compute=compute, teaching=teaching, start=Position(1))
    same = [torch.equal(value, whole[left.name][key]) for key, value in left.model.state_dict().items()]
    assert all(same)


def test_weights_that_cannot_be_written_say_how_to_go_on(data, teachers, tmp_path: Path):
    """A full disk may be met first by a checkpoint or by the kept weights: both must say that nothing is lost."""
    (tmp_path / "plain-1" / "model.safetensors").mkdir(parents=True)  # nothing can be written in its place
    with pytest.raises(ModelError, match=r"not be written: .*; the same command goes on from the last checkpoint"):
        train([("plain", 1.0)], data, teachers, tmp_path, "float32")


@pytest.mark.parametrize("temperature", [1.0, 4.0, 64.0])
def test_what_a_student_begins_with_is_that_of_its_untrained_weights(data, teachers, tmp_path, temperature):
    """By hand: the loss is T² KL, and its gradient at the logits T (softmax(z / T) − softmax(z_t / T))."""
    trainee = one_trainee(tmp_path, distillation_from("plain", temperature, "hinton", hard_weight=0.0))
    trainee.looks_first = True
    trainee.model.backbone.eval()  # dropout would draw another student for the figures by hand
    images, labels = torch.stack([data.train[i] for i in range(32)]), data.train.labels[:32]
    inputs = SharedInputs(images)
    with torch.no_grad():
        answers = {"plain": teachers["plain"].eval()(images)}
        own, taught = (z.log_softmax(-1) for z in (trainee.model(images) / temperature, answers["plain"] / temperature))
    for _ in range(3):
        trainee.step(inputs, labels, answers)
    found = trainee.convergence()
    gradient = temperature * (own.exp() - taught.exp())
    loss = temperature**2 * (taught.exp() * (taught - own)).sum(-1)
    assert found["train/first_loss"] == pytest.approx(float(loss.mean()), rel=1e-3)
    assert found["train/first_gradient"] == pytest.approx(float(gradient.norm(dim=-1).mean()), rel=1e-3)

    went_on = one_trainee(tmp_path / "again", trainee.loss_function)
    went_on.looks_first = True
    went_on.restore(trainee.state())
    assert went_on.convergence() == found
