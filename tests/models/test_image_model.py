from __future__ import annotations

import pytest
import torch
from torch import nn

from tosmooth.errors import ModelError
from tosmooth.models.image_model import ImageModel, InputSpec, logits_of


def model(**spec) -> ImageModel:
    return ImageModel(nn.Flatten(), InputSpec(**spec), "flat", 2)


def test_normalisation_by_hand():
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).view(3, 1, 1, 1)
    prepared = model(channels=1, mean=(0.5,), std=(0.25,)).prepare(images)
    # 51/255 = 0.2, (0.2 − 0.5)/0.25 = −1.2
    torch.testing.assert_close(prepared.flatten(), torch.tensor([-2.0, -1.2, 2.0]))


def test_floats_are_taken_as_0_to_1():
    images = torch.randint(0, 256, (2, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    net = model(mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    torch.testing.assert_close(net(images), net(images.float() / 255))


def test_grey_is_repeated_and_each_channel_normalised_for_itself():
    images = torch.full((1, 1, 1, 1), 0.5)
    prepared = model(channels=3, mean=(0.5, 0.25, 0.0), std=(1.0, 0.5, 0.25)).prepare(images)
    torch.testing.assert_close(prepared.flatten(), torch.tensor([0.0, 0.5, 2.0]))


def test_resize_is_antialiased():
    # Columns 0 0 1 1 to two columns: a triangle two pixels wide weighs 3/7, 3/7, 1/7.
    images = torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(1, 1, 4, 4)
    prepared = model(channels=1, size=2, mean=(0.0,), std=(1.0,)).prepare(images)
    torch.testing.assert_close(prepared[0, 0], torch.tensor([[1 / 7, 6 / 7], [1 / 7, 6 / 7]]))


def test_without_a_size_images_stay_as_they_come():
    assert model(channels=3).prepare(torch.rand(2, 3, 5, 7)).shape == (2, 3, 5, 7)


@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16])
def test_images_follow_the_backbones_precision(precision):
    assert model(channels=3).to(precision).prepare(torch.zeros(1, 1, 2, 2, dtype=torch.uint8)).dtype == precision


def test_the_state_dict_is_the_backbones_alone():
    net = ImageModel(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), InputSpec(channels=1), "linear", 2)
    assert sorted(net.state_dict()) == ["backbone.1.bias", "backbone.1.weight"]


def test_what_the_user_gave_outlives_a_new_input():
    net = ImageModel(nn.Flatten(), InputSpec(channels=1), "flat", 2, given={"mean": 0.25})
    net.use_input(InputSpec(channels=1, size=3, mean=(0.9,), std=(0.5,)))
    assert net.input == InputSpec(channels=1, size=3, mean=(0.25,), std=(0.5,))
    torch.testing.assert_close(net.prepare(torch.full((1, 1, 3, 3), 0.5)), torch.full((1, 1, 3, 3), 0.5))


def test_colour_for_a_grey_backbone_is_refused():
    with pytest.raises(ModelError, match="3 channels, this model takes 1"):
        model(channels=1)(torch.rand(1, 3, 2, 2))


def test_one_image_without_a_batch_is_refused():
    with pytest.raises(ModelError, match=r"\(3, 2, 2\), must be \(N, C, H, W\)"):
        model()(torch.rand(3, 2, 2))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"channels": 2}, "channels: 2"),
        ({"size": 0}, "size: 0"),
        ({"size": 22.5}, "whole pixels"),
        ({"mean": (0.1, 0.2)}, "3 finite numbers"),
        ({"mean": "grey"}, "mean: 'grey'"),
        ({"std": (0.5, 0.0, 0.5)}, "above 0"),
        ({"std": float("nan")}, "finite"),
    ],
)
def test_an_impossible_input_is_refused(spec, message):
    with pytest.raises(ModelError, match=message):
        InputSpec(**spec)


def test_logits_of_neither_form():
    with pytest.raises(ModelError, match="returned tuple"):
        logits_of((torch.zeros(1, 2),))
