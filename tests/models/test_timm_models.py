from __future__ import annotations

import re

import pytest
import timm
import torch

from tosmooth.errors import ModelError
from tosmooth.models.build import build_image_model


def test_each_model_keeps_its_own_normalisation():
    resnet = build_image_model("timm:resnet18", 10)
    vit = build_image_model("timm:vit_tiny_patch16_224.augreg_in21k_ft_in1k", 10, kwargs={"depth": 1})
    assert resnet.input.mean == (0.485, 0.456, 0.406)
    assert vit.input.mean == (0.5, 0.5, 0.5)


def test_a_free_size_stays_free_and_a_fixed_one_is_kept():
    assert build_image_model("timm:resnet18", 10).input.size is None
    assert build_image_model("timm:vit_tiny_patch16_224", 10, kwargs={"depth": 1}).input.size == 224
    small = build_image_model(
        "timm:vit_tiny_patch16_224", 10, channels=1, image_size=28, kwargs={"depth": 1, "img_size": 32}
    )
    assert small.input.size == 32
    assert small.eval()(torch.randint(0, 256, (2, 1, 28, 28), dtype=torch.uint8)).shape == (2, 10)


def test_a_grey_backbone_by_its_own_option():
    model = build_image_model("timm:resnet18", 10, channels=1, image_size=32, kwargs={"in_chans": 1})
    assert model.input.channels == 1
    assert model.input.mean == pytest.approx(((0.485 + 0.456 + 0.406) / 3,))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"kwargs": {"checkpoint_path": "w.pth"}},
            "must not hold 'checkpoint_path'; use the model's own setting checkpoint",
        ),
        ({"kwargs": {"num_classes": 5}}, "must not hold 'num_classes'"),
        ({"kwargs": {"no_such_option": 5}}, "timm:resnet18: does not take kwargs 'no_such_option'"),
        ({"width": 2.0}, "width belongs to the CIFAR-style ResNets"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ModelError, match=message):
        build_image_model("timm:resnet18", 10, **options)


def test_names_of_the_original_implementation(tmp_path):
    """ConvNeXt's authors call the layers otherwise than timm does; timm reads their files."""
    saved = timm.create_model("test_convnext", num_classes=3).state_dict()
    names = {
        "stem.0.": "downsample_layers.0.0.", "stem.1.": "downsample_layers.0.1.", "head.norm.": "norm.",
        "head.fc.": "head.", "conv_dw": "dwconv", "mlp.fc": "pwconv",
    }  # fmt: skip
    theirs = {}
    for key, tensor in saved.items():
        name = re.sub(r"stages\.(\d)\.downsample\.(\d)", r"downsample_layers.\1.\2", key)
        name = re.sub(r"stages\.(\d)\.blocks\.(\d)", r"stages.\1.\2", name)
        for ours, own in names.items():
            name = name.replace(ours, own)
        theirs[name] = tensor
    torch.save({"model": theirs}, tmp_path / "w.pth")
    model = build_image_model("timm:test_convnext", 3, checkpoint=tmp_path / "w.pth")
    assert all(torch.equal(tensor, saved[key]) for key, tensor in model.backbone.state_dict().items())
