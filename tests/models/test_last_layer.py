from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from tests.models.architectures import ARCHITECTURES
from tosmooth.errors import ModelError
from tosmooth.models.build import build_image_model
from tosmooth.models.features import PenultimateFeatures
from tosmooth.models.last_layer import find_last_layer


@pytest.mark.parametrize(("name", "options", "side", "expected"), ARCHITECTURES, ids=[a[0] for a in ARCHITECTURES])
def test_every_family(name, options, side, expected):
    model = build_image_model(name, 7, seed=0, **options).eval()
    assert find_last_layer(model)[0] == f"backbone.{expected}"
    assert find_last_layer(model.backbone, 7) == (expected, model.backbone.get_submodule(expected))
    nn.init.normal_(model.backbone.get_submodule(expected).weight, std=0.1)  # torchvision's ViT starts with a head of 0
    images = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), PenultimateFeatures(model) as features_of:
        logits, features = features_of(images)
    assert logits.std() > 0
    weight, bias = features_of.last_layer.weight, features_of.last_layer.bias
    assert features.shape == (2, weight.shape[1])
    torch.testing.assert_close(features @ weight.T + bias, logits, rtol=1e-4, atol=1e-5)


def test_a_convolutional_head():
    model = build_image_model("torchvision:squeezenet1_1", 7, seed=0).eval()
    name, layer = find_last_layer(model)
    assert name == "backbone.classifier.1"
    assert isinstance(layer, nn.Conv2d)


def test_the_class_count_may_equal_other_widths():
    # 64 is also the width of the last shortcut, a 1×1 convolution.
    assert find_last_layer(build_image_model("resnet8", 64))[0] == "backbone.fc"
    model = build_image_model("timm:vit_tiny_patch16_224", 192, kwargs={"img_size": 32, "depth": 2})
    assert find_last_layer(model)[0] == "backbone.head"
    # Bottlenecks of ResNet-50 end in 1×1 convolutions of width 2048.
    assert find_last_layer(torchvision.models.resnet50(num_classes=2048), 2048)[0] == "fc"


def test_a_bare_model_without_a_class_count():
    assert find_last_layer(torchvision.models.shufflenet_v2_x0_5(num_classes=9))[0] == "fc"


def test_a_layer_behind_the_head_does_not_hide_it():
    model = nn.ModuleDict({"fc": nn.Linear(8, 5), "projection": nn.Linear(8, 128)})
    assert find_last_layer(model, 5)[0] == "fc"


def test_an_mlp_head_ends_with_its_last_layer():
    model = nn.Sequential(nn.Linear(10, 10), nn.ReLU(), nn.Linear(10, 10))
    assert find_last_layer(model, 10)[0] == "2"


def two_heads(make) -> nn.Module:
    model = nn.Module()
    model.body = nn.Conv2d(3, 8, 3)
    model.first, model.second = make(), make()
    return model


@pytest.mark.parametrize(
    ("make", "suffix"),
    [
        (lambda: nn.Linear(8, 5), ""),
        (lambda: nn.Sequential(nn.Dropout(0.1), nn.Linear(8, 5)), ".1"),
        (lambda: nn.Sequential(nn.BatchNorm1d(8), nn.Linear(8, 5)), ".1"),  # as in LeViT
    ],
)
def test_two_heads_are_ambiguous_until_one_is_named(make, suffix):
    model = two_heads(make)
    with pytest.raises(ModelError, match=f"ambiguous: 'first{suffix}', 'second{suffix}'"):
        find_last_layer(model, 5)
    name = f"first{suffix}"
    assert find_last_layer(model, 5, layer=name) == (name, model.get_submodule(name))


def test_a_distilled_deit_is_ambiguous():
    model = build_image_model("timm:deit_tiny_distilled_patch16_224", 7, kwargs={"img_size": 32, "depth": 1})
    with pytest.raises(ModelError, match=r"'backbone\.head', 'backbone\.head_dist'"):
        find_last_layer(model)
    assert find_last_layer(model, layer="head_dist")[0] == "backbone.head_dist"


@pytest.mark.parametrize(
    ("classes", "layer", "message"),
    [
        (7, None, "width 7 .the class count.; widths of its last such layers: .*fc \\(10\\)"),
        (10, "fcc", "no layer 'fcc'; did you mean 'fc'"),
        (10, "bn1", "'bn1' is a BatchNorm2d, not a linear layer"),
        (10, "conv1", "'conv1' is a Conv2d, not"),
        (7, "fc", "'fc' has 10 outputs, there are 7 classes"),
    ],
)
def test_errors_say_what_there_is(classes, layer, message):
    with pytest.raises(ModelError, match=message):
        find_last_layer(build_image_model("resnet8", 10), classes, layer)


def test_a_model_without_any():
    with pytest.raises(ModelError, match="no such layer at all"):
        find_last_layer(nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU()), 5)
