"""The moving average of weights: the recursion by hand, and what is judged, kept and restored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from tosmooth.config.schema import ComputeConfig, StudentConfig
from tosmooth.config.training import MovingAverageConfig
from tosmooth.data.augmentation import train_transform
from tosmooth.data.batches import SeededBatches
from tosmooth.data.registry import load_image_data
from tosmooth.models.build import build_image_model
from tosmooth.models.image_model import ImageModel, InputSpec
from tosmooth.training.compute import Compute
from tosmooth.training.forward import SharedInputs
from tosmooth.training.loop import train_group
from tosmooth.training.loss_functions import label_smoothing_loss
from tosmooth.training.moving_average import average_of
from tosmooth.training.trainee import Trainee


@pytest.fixture(scope="module")
def data():
    return load_image_data("fashion_mnist_sample", limit_train=160, limit_test=20, validation=0.1)


def one_trainee(folder: Path, average: object, select_by: str | None = None, epochs: int = 3) -> Trainee:
    config = StudentConfig(model="resnet8", epochs=epochs, moving_average=average, optimizer={"learning_rate": 0.1})
    model = build_image_model("resnet8", 10, channels=1, width=0.25, seed=0)
    compute = Compute.from_config(ComputeConfig(device="cpu"))
    return Trainee("it", model, label_smoothing_loss(0.0), config, compute, 0, 3, folder, select_by)


def steps(trainee: Trainee, data, count: int) -> list[dict[str, Tensor]]:
    """Take steps; the weights after each of them."""
    trainee.model.train()
    after = []
    for number in range(count):
        at = range(20 * number, 20 * number + 20)
        trainee.step(SharedInputs(torch.stack([data.train[i] for i in at])), data.train.labels[at[0] : at[-1] + 1], {})
        after.append({name: value.clone() for name, value in trainee.model.state_dict().items()})
    return after


@pytest.mark.parametrize(
    ("average", "decays"),
    [
        ({"decay": 0.9, "warmup": False}, [0.0, 0.9, 0.9, 0.9, 0.9]),
        # At most 1 − s^(−2/3) in step s: 0, 0.370, 0.519, 0.603, 0.658.
        (0.6, [0.0, 1 - 2 ** (-2 / 3), 1 - 3 ** (-2 / 3), 0.6, 0.6]),
    ],
)
def test_the_average_is_the_recursion_over_the_weights_after_each_step(data, tmp_path, average, decays):
    trainee = one_trainee(tmp_path, average)
    states = steps(trainee, data, len(decays))
    expected = {name: value.double() for name, value in states[0].items()}
    for decay, state in zip(decays, states, strict=True):
        expected = {name: decay * expected[name] + (1 - decay) * state[name].double() for name in expected}
    found = trainee.kept.state_dict()
    for name, value in found.items():
        if name.endswith("num_batches_tracked"):
            assert value == len(decays)
            continue
        assert torch.allclose(value.double(), expected[name], rtol=1e-5, atol=1e-7), name
        if not name.endswith("running_var"):  # those of a step are much alike
            assert not torch.allclose(value, trainee.model.state_dict()[name], rtol=1e-4, atol=1e-5), name
    assert not any(part.training for part in trainee.kept.modules())
    assert all(part.training for part in trainee.model.modules())


def test_the_weights_in_training_are_those_without_an_average(data, tmp_path):
    plain, averaged = (
        steps(one_trainee(tmp_path / name, average), data, 3)[-1] for name, average in (("a", None), ("b", 0.9))
    )
    assert all(torch.equal(value, averaged[name]) for name, value in plain.items())


def test_the_average_is_what_is_judged_kept_and_restored(data, tmp_path):
    """Of three epochs the second is called the best: its average is in the file, and in the model afterwards."""
    trainee = one_trainee(tmp_path, {"decay": 0.9, "warmup": False}, select_by="val/top1")
    batches = SeededBatches(data.train, train_transform("none", None), batch_size=48, seed=0, shuffle=True)
    judged = []

    def validate(alive: Sequence[Trainee]) -> list[dict[str, float]]:
        (own,) = alive
        judged.append({name: value.clone() for name, value in own.kept.backbone.state_dict().items()})
        return [{"val/top1": [10.0, 30.0, 20.0][len(judged) - 1]}]

    train_group([trainee], batches, compute=trainee.compute, validate=validate)
    kept, last = (load_file(tmp_path / name) for name in ("model.safetensors", "last.safetensors"))
    assert trainee.selected_epoch == 2
    assert all(torch.equal(value, kept[name]) for name, value in judged[1].items())
    assert all(torch.equal(value, last[name]) for name, value in judged[2].items())
    assert not torch.equal(last["fc.weight"], trainee.model.backbone.state_dict()["fc.weight"])
    trainee.restore_selected()
    assert all(torch.equal(value, judged[1][name]) for name, value in trainee.model.backbone.state_dict().items())


def test_a_tensor_that_two_layers_share_moves_once():
    """It stands in the state dict twice."""

    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
            self.two.weight = self.one.weight

        def forward(self, images: Tensor) -> Tensor:
            return self.two(self.one(images.flatten(1)))

    model = ImageModel(Tied(), InputSpec(channels=1), "tied", 4)
    average = average_of(model, MovingAverageConfig(decay=0.75, warmup=False))
    before = model.backbone.one.weight.detach().clone()
    average.update(model, step=1)
    with torch.no_grad():
        model.backbone.one.weight += 1
    average.update(model, step=2)
    assert torch.allclose(average.module.backbone.two.weight, before + 0.25)
