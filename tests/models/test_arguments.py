"""What the arguments of a training script, left beside the weights, say of the images that it was trained on."""

from __future__ import annotations

import argparse
import types
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from timm.utils import CheckpointSaver

from tosmooth.models.arguments import input_of
from tosmooth.models.build import build_image_model
from tosmooth.models.checkpoint import read_checkpoint
from tosmooth.models.image_model import IMAGENET_MEAN, IMAGENET_STD, InputSpec
from tosmooth.models.weights import load_weights, save_weights, weights_hash

MODEL = "test_resnet"
HALF = (0.5, 0.5, 0.5)


def saved(folder: Path, **arguments: Any) -> Path:
    """A checkpoint as timm's own training script leaves it."""
    network = timm.create_model(MODEL, num_classes=3)
    given = argparse.Namespace(model=MODEL, data_dir=folder, seed=42, aa=None, **arguments)
    saver = CheckpointSaver(network, torch.optim.SGD(network.parameters(), 0.1), args=given, checkpoint_dir=str(folder))
    saver.save_checkpoint(0, metric=90.0)
    return folder / "last.pth.tar"


def test_a_checkpoint_of_timms_script_is_shown_images_as_in_its_training(tmp_path: Path):
    path = saved(tmp_path, img_size=64, input_size=None, mean=list(HALF), std=[0.25])
    model = build_image_model(f"timm:{MODEL}", 3, checkpoint=path)
    assert model.input == InputSpec(size=64, mean=HALF, std=(0.25,) * 3)
    said = "64 pixels, mean (0.5, 0.5, 0.5), standard deviation (0.25, 0.25, 0.25)"
    assert model.notes == (f"{path}: its arguments say {said}; images are shown so",)
    save_weights(model, tmp_path / "ours.safetensors")  # and what is saved says the same
    again = build_image_model(f"timm:{MODEL}", 3, checkpoint=tmp_path / "ours.safetensors")
    assert (again.input, again.notes) == (model.input, ())
    told = build_image_model(f"timm:{MODEL}", 3, checkpoint=path, kwargs={"input_size": 48})
    assert told.input == InputSpec(size=48, mean=HALF, std=(0.25,) * 3)  # what the user says goes first


def test_arguments_that_say_nothing_of_images_change_nothing(tmp_path: Path):
    path = saved(tmp_path, img_size=None, input_size=None, mean=None, std=None, lr=0.1)
    model = build_image_model(f"timm:{MODEL}", 3, checkpoint=path)
    assert (model.input.size, model.input.mean, model.notes) == (None, HALF, ())
    other = build_image_model(f"timm:{MODEL}", 3)
    load_weights(other, path)
    assert weights_hash(other) == weights_hash(model)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, None),
        ({"img_size": 96}, InputSpec(size=96, mean=IMAGENET_MEAN, std=IMAGENET_STD)),
        ({"input_size": [3, 80, 80], "img_size": 96}, InputSpec(size=80, mean=IMAGENET_MEAN, std=IMAGENET_STD)),
        ({"val_crop_size": 176, "train_crop_size": 160}, InputSpec(size=176, mean=IMAGENET_MEAN, std=IMAGENET_STD)),
        ({"mean": [0.0]}, InputSpec(mean=(0.0,) * 3, std=IMAGENET_STD)),
        ({"input_size": [3, 80, 96]}, None),
        ({"img_size": True}, None),
        ({"img_size": 1e9}, None),
        ({"img_size": 10**9}, None),
        ({"img_size": "64"}, None),
        ({"img_size": -3}, None),
        ({"mean": []}, None),
        ({"mean": ["a"]}, None),
        ({"mean": [float("nan")]}, None),
        ({"std": [0.0, 0.0, 0.0]}, None),
        ({"mean": [0.5] * 4}, None),
        ({"mean": [123.7, 116.3, 103.5], "std": [58.4, 57.1, 57.4]}, None),  # of bytes
    ],
)
def test_what_cannot_be_is_not_believed(arguments: dict[str, Any], expected: InputSpec | None):
    assert input_of(arguments, InputSpec(mean=IMAGENET_MEAN, std=IMAGENET_STD)) == expected


def test_only_plain_arguments_are_read(tmp_path: Path):
    path = tmp_path / "a.pth"
    state = {"weight": torch.zeros(2)}
    held = {"img_size": 64, "mean": (0.5, 0.1), "deep": {"img_size": 1}, "where": tmp_path, "list": [[1]]}
    for arguments in (argparse.Namespace(**held), types.SimpleNamespace(**held), held):
        torch.save({"state_dict": state, "args": arguments}, path)
        assert read_checkpoint(path).arguments == {"img_size": 64, "mean": (0.5, 0.1)}
    for other in ("text", 3, [1], None, {1: 2}, torch.zeros(1)):
        torch.save({"state_dict": state, "args": other}, path)
        assert read_checkpoint(path).arguments == {}
    torch.save(state, path)
    assert read_checkpoint(path).arguments == {}
