from __future__ import annotations

import re

import pytest
import torch
import torchvision

from tosmooth.errors import ModelError
from tosmooth.models.build import build_image_model, validate_model_name
from tosmooth.models.torchvision_models import load_pretrained, published_size, published_weights


def test_normalisation_is_that_of_the_published_weights():
    model = build_image_model("torchvision:mobilenet_v3_small", 10)
    assert model.input.mean == (0.485, 0.456, 0.406)
    assert model.input.std == (0.229, 0.224, 0.225)
    assert model.input.size is None


def test_googlenet_is_normalised_once():
    # Its published form renormalises inside the network, from ImageNet's mean and std to 0.5.
    torch.manual_seed(0)
    model = build_image_model("torchvision:googlenet", 10, seed=0).eval()
    theirs = torchvision.models.googlenet(
        num_classes=10, aux_logits=False, transform_input=True, init_weights=False
    ).eval()
    theirs.load_state_dict(model.backbone.state_dict())
    images = torch.rand(1, 3, 64, 64)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        torch.testing.assert_close(model(images), theirs((images - mean) / std), rtol=1e-3, atol=1e-5)


def test_a_vision_transformer_has_a_fixed_size():
    model = build_image_model("torchvision:vit_b_16", 10, kwargs={"image_size": 32})
    assert model.input.size == 32
    assert model.eval()(torch.rand(1, 1, 28, 28)).shape == (1, 10)


def published(builder, **options) -> dict[str, torch.Tensor]:
    return builder(num_classes=1000, **options).state_dict()


def test_published_weights_go_in_and_the_head_stays_new():
    state = published(torchvision.models.shufflenet_v2_x0_5)
    model = torchvision.models.shufflenet_v2_x0_5(num_classes=10)
    head = model.fc.weight.clone()
    load_pretrained(model, state)
    assert torch.equal(model.conv1[0].weight, state["conv1.0.weight"])
    assert torch.equal(model.fc.weight, head)


def test_published_head_is_kept_where_the_classes_are_as_many():
    state = published(torchvision.models.shufflenet_v2_x0_5)
    model = torchvision.models.shufflenet_v2_x0_5(num_classes=1000)
    load_pretrained(model, state)
    assert torch.equal(model.fc.weight, state["fc.weight"])


def test_auxiliary_heads_of_published_weights_are_left_out():
    state = published(torchvision.models.googlenet, aux_logits=True, init_weights=False)
    model = torchvision.models.googlenet(num_classes=10, aux_logits=False, init_weights=False)
    load_pretrained(model, state)
    assert torch.equal(model.conv1.conv.weight, state["conv1.conv.weight"])


def test_densenet_files_with_their_old_names():
    state = published(torchvision.models.densenet121)
    old = {}
    for key, value in state.items():
        for kind in ("norm", "conv"):
            for number in "12":
                if "denselayer" in key:
                    key = key.replace(f".{kind}{number}.", f".{kind}.{number}.")
        old[key] = value
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    model = torchvision.models.densenet121(num_classes=10)
    load_pretrained(model, old)
    name = "features.denseblock4.denselayer16.conv2.weight"
    assert torch.equal(model.state_dict()[name], state[name])


def test_weights_of_another_model_are_refused():
    with pytest.raises(RuntimeError, match="size mismatch"):
        load_pretrained(torchvision.models.shufflenet_v2_x1_0(), published(torchvision.models.shufflenet_v2_x0_5))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kwargs": {"weights": "DEFAULT"}}, "must not hold 'weights'"),
        ({"kwargs": {"no_such_option": 5}}, "does not take kwargs 'no_such_option'"),
        ({"width": 2.0}, "some take width_mult in kwargs"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ModelError, match=message):
        build_image_model("torchvision:mobilenet_v2", 10, **options)


def test_weights_are_chosen_by_their_name_behind_a_dot():
    validate_model_name("torchvision:resnet50.IMAGENET1K_V1")
    assert published_weights("resnet50").name == "IMAGENET1K_V2"
    assert published_weights("resnet50.IMAGENET1K_V1").name == "IMAGENET1K_V1"
    assert published_size("vit_h_14.IMAGENET1K_SWAG_E2E_V1") == 518
    assert published_size("vit_h_14.IMAGENET1K_SWAG_LINEAR_V1") == 224
    with pytest.raises(ModelError, match=r"unknown weights 'IMAGENET1K_V3' of 'torchvision:resnet50'; did you mean"):
        validate_model_name("torchvision:resnet50.IMAGENET1K_V3")
    with pytest.raises(ModelError, match="did you mean 'torchvision:resnet50'"):
        validate_model_name("torchvision:resnet51.IMAGENET1K_V1")


def test_the_architecture_does_not_depend_on_the_weights_name():
    named = build_image_model("torchvision:shufflenet_v2_x0_5.IMAGENET1K_V1", 10, seed=0)
    plain = build_image_model("torchvision:shufflenet_v2_x0_5", 10, seed=0)
    assert named.name == "torchvision:shufflenet_v2_x0_5.IMAGENET1K_V1"
    assert all(torch.equal(a, b) for a, b in zip(named.state_dict().values(), plain.state_dict().values(), strict=True))


@pytest.mark.parametrize(
    ("name", "left_out"), [("googlenet", "aux1.* (10 tensors), aux2.* (10 tensors)"), ("densenet121", "")]
)
def test_files_of_auxiliary_heads_and_of_old_names(tmp_path, name, left_out):
    options = {"aux_logits": True, "init_weights": False} if name == "googlenet" else {}
    saved = torchvision.models.get_model(name, weights=None, num_classes=3, **options).state_dict()
    old = {re.sub(r"(denselayer\d+\.(?:norm|conv))([12])\.", r"\1.\2.", k): v for k, v in saved.items()}
    assert (old.keys() == saved.keys()) == (name == "googlenet")
    torch.save({"state_dict": {f"module.{k}": v for k, v in old.items()}}, tmp_path / "w.pth")
    model = build_image_model(f"torchvision:{name}", 3, checkpoint=tmp_path / "w.pth")
    assert all(torch.equal(tensor, saved[key]) for key, tensor in model.backbone.state_dict().items())
    assert model.notes == ((f"{tmp_path / 'w.pth'}: left out: {left_out}",) if left_out else ())
