from __future__ import annotations

import pytest
import torch
from torch import nn

from tosmooth.errors import ModelError
from tosmooth.models.build import build_image_model, register_model_source, validate_model_name
from tosmooth.models.image_model import InputSpec
from tosmooth.models.weights import save_weights, weights_hash


@pytest.mark.parametrize(
    "name", ["resnet8", "resnet110", "torchvision:resnet18", "timm:resnet18", "timm:resnet18.a1_in1k"]
)
def test_known_names_pass(name):
    validate_model_name(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rsnet8", "did you mean 'resnet8'"),
        ("resnet18", "6n \\+ 2 layers, 8 to 110; did you mean 'resnet20', or 'torchvision:resnet18'"),
        ("resnet116", "did you mean 'resnet110'"),
        ("tim:resnet18", "unknown model source 'tim'; did you mean 'timm'"),
        ("torchvision:", "after the colon is missing"),
        ("torchvision:resnet19", "unknown model 'torchvision:resnet19'; did you mean 'torchvision:resnet1"),
        ("torchvision:fcn_resnet50", "unknown model"),  # a segmentation model
        ("timm:vit_tiny_patch16_22", "did you mean 'timm:vit_tiny_patch16_224'"),
        ("timm:resnet18.a1_ink", "unknown weights 'a1_ink' of 'timm:resnet18'; did you mean 'a1_in1k'"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(name, message):
    with pytest.raises(ModelError, match=message):
        validate_model_name(name)
    with pytest.raises(ModelError, match=message):
        build_image_model(name, 10)


@pytest.mark.parametrize("name", ["resnet8", "torchvision:shufflenet_v2_x0_5", "timm:mobilenetv3_small_050"])
def test_a_seed_fixes_the_weights_whatever_came_before(name):
    first = weights_hash(build_image_model(name, 10, seed=3))
    torch.rand(7)
    build_image_model("resnet14", 10)
    assert weights_hash(build_image_model(name, 10, seed=3)) == first
    assert weights_hash(build_image_model(name, 10, seed=4)) != first


def test_building_with_a_seed_leaves_the_callers_random_state_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    build_image_model("resnet8", 10, seed=5)
    assert torch.equal(torch.rand(3), expected)


def test_without_a_seed_the_callers_random_state_is_used():
    torch.manual_seed(0)
    first = weights_hash(build_image_model("resnet8", 10))
    assert weights_hash(build_image_model("resnet8", 10)) != first
    torch.manual_seed(0)
    assert weights_hash(build_image_model("resnet8", 10)) == first


def test_input_options_are_ours_for_every_model():
    model = build_image_model("resnet8", 10, channels=1, kwargs={"mean": 0.25, "std": [0.125], "input_size": 16})
    assert model.input == InputSpec(channels=1, size=16, mean=(0.25,), std=(0.125,))
    model = build_image_model("torchvision:squeezenet1_1", 10, channels=1, kwargs={"input_size": 32, "mean": 0.5})
    assert (model.input.channels, model.input.size, model.input.mean) == (3, 32, (0.5, 0.5, 0.5))
    assert model(torch.randint(0, 256, (2, 1, 28, 28), dtype=torch.uint8)).shape == (2, 10)


def test_images_too_small_for_a_model_are_found_when_building():
    with pytest.raises(ModelError, match=r"alexnet: does not work on images of 28 × 28 pixels .*input_size"):
        build_image_model("torchvision:alexnet", 10, image_size=28)
    build_image_model("torchvision:alexnet", 10, image_size=28, kwargs={"input_size": 64})


def test_models_come_in_train_mode_and_unused():
    model = build_image_model("resnet8", 10, image_size=32)
    assert all(module.training for module in model.modules())
    assert int(model.backbone.bn1.num_batches_tracked) == 0


def test_a_checkpoint_replaces_the_initial_weights(tmp_path):
    trained = build_image_model("resnet8", 10, seed=0)
    save_weights(trained, tmp_path / "w.safetensors")
    model = build_image_model("resnet8", 10, seed=1, checkpoint=tmp_path / "w.safetensors")
    assert weights_hash(model) == weights_hash(trained)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 1}, "num_classes is 1"),
        ({"channels": 4}, "channels is 4"),
        ({"kwargs": {"mean": "x"}}, "mean: 'x'"),
        ({"kwargs": {"std": 0}}, "above 0"),
        ({"kwargs": {"input_size": -1}}, "input size: -1"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ModelError, match=message):
        build_image_model("resnet8", **{"num_classes": 10, **arguments})


@pytest.mark.parametrize("name", ["timm:densenet121", "torchvision:squeezenet1_1"])
def test_a_model_without_drop_path_says_so(name):
    with pytest.raises(ModelError, match=f"{name}: does not take kwargs 'drop_path_rate'; leave out, or choose"):
        build_image_model(name, 10, kwargs={"drop_path_rate": 0.1})


class Linears:
    """A user's own source of models."""

    def validate(self, name):
        if name != "one":
            raise ModelError(f"only 'one' is known, not {name!r}")

    def build(self, name, request):
        features = request.kwargs.get("features", 4)
        return nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(features, request.num_classes)
        ), InputSpec()


def test_a_source_of_ones_own():
    register_model_source("linears", Linears())
    assert build_image_model("linears:one", 5, image_size=8, kwargs={"features": 3})(torch.rand(2, 3, 8, 8)).shape == (
        2,
        5,
    )
    with pytest.raises(ModelError, match="only 'one'"):
        validate_model_name("linears:two")
    with pytest.raises(ModelError, match="registered already"):
        register_model_source("timm", Linears())
