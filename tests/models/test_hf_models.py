from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from tosmooth.errors import ModelError
from tosmooth.models.build import build_image_model, validate_model_name
from tosmooth.models.features import PenultimateFeatures
from tosmooth.models.hf_models import _side
from tosmooth.models.weights import load_weights, save_weights, weights_hash

transformers = pytest.importorskip("transformers")


def vit() -> torch.nn.Module:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "image_size": 32, "patch_size": 8}
    config = transformers.ViTConfig(num_hidden_layers=1, num_attention_heads=2, num_labels=4, **sizes)
    return transformers.ViTForImageClassification(config).eval()


@pytest.fixture(scope="module")
def vit_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("vit")
    vit().save_pretrained(folder)
    transformers.ViTImageProcessor(
        size={"height": 32, "width": 32}, image_mean=[0.1, 0.2, 0.3], image_std=[0.4, 0.5, 0.6]
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def resnet_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("resnet")
    config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    transformers.ResNetForImageClassification(config).save_pretrained(folder)
    return folder


def test_pretrained_logits_are_the_librarys(vit_folder):
    model = build_image_model(f"hf:{vit_folder}", 4, pretrained=True).eval()
    assert model.input.size == 32
    images = torch.rand(2, 3, 32, 32)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ([0.1, 0.2, 0.3], [0.4, 0.5, 0.6]))
    with torch.no_grad():
        torch.testing.assert_close(model(images), vit()((images - mean) / std).logits)


def test_features_of_both_families_and_of_the_bare_module(vit_folder, resnet_folder):
    for folder, layer in ((vit_folder, "classifier"), (resnet_folder, "classifier.1")):
        model = build_image_model(f"hf:{folder}", 5, seed=0).eval()
        for each in (model, model.backbone):
            with torch.no_grad(), PenultimateFeatures(each) as features_of:
                logits, features = features_of(torch.rand(2, 3, 32, 32))
            assert features_of.layer_name.removeprefix("backbone.") == layer
            assert features.shape == (2, 16)
            torch.testing.assert_close(features_of.last_layer(features), logits)


def test_a_new_head_where_the_class_count_differs(vit_folder):
    model = build_image_model(f"hf:{vit_folder}", 7, pretrained=True, seed=0)
    assert model.backbone.classifier.weight.shape == (7, 16)
    query = "vit.embeddings.patch_embeddings.projection.weight"
    assert torch.equal(model.backbone.state_dict()[query], vit().state_dict()[query])
    assert weights_hash(build_image_model(f"hf:{vit_folder}", 7, pretrained=True, seed=0)) == weights_hash(model)


def test_without_pretrained_the_seed_makes_the_weights(vit_folder):
    first, again = (build_image_model(f"hf:{vit_folder}", 4, seed=1) for _ in range(2))
    assert weights_hash(first) == weights_hash(again) != weights_hash(vit())


def test_without_an_image_processor_the_mean_is_one_half(resnet_folder):
    model = build_image_model(f"hf:{resnet_folder}", 5)
    assert model.input.size is None
    assert model.input.mean == (0.5, 0.5, 0.5)


def test_weights_go_to_disk_and_back(vit_folder, tmp_path):
    model = build_image_model(f"hf:{vit_folder}", 4, seed=1)
    save_weights(model, tmp_path / "w.safetensors")
    other = build_image_model(f"hf:{vit_folder}", 4, seed=2)
    load_weights(other, tmp_path / "w.safetensors")
    assert weights_hash(other) == weights_hash(model)


def test_weights_that_leave_layers_at_random_are_refused(vit_folder):
    with pytest.raises(ModelError, match=r"not of this model: .* tensors besides the head.*vit\."):
        build_image_model(f"hf:{vit_folder}", 4, pretrained=True, kwargs={"num_hidden_layers": 2})


def test_options_are_fields_of_the_configuration(vit_folder):
    model = build_image_model(f"hf:{vit_folder}", 4, kwargs={"num_hidden_layers": 3})
    assert len([n for n in model.backbone.state_dict() if n.endswith("layernorm_before.weight")]) == 3
    with pytest.raises(ModelError, match="unknown kwargs 'num_hiden_layers'"):
        build_image_model(f"hf:{vit_folder}", 4, kwargs={"num_hiden_layers": 3})
    with pytest.raises(ModelError, match="never run"):
        build_image_model(f"hf:{vit_folder}", 4, kwargs={"trust_remote_code": True})


def test_names(tmp_path, vit_folder):
    validate_model_name(f"hf:{vit_folder}")
    validate_model_name("hf:microsoft/resnet-18")
    with pytest.raises(ModelError, match=r"no config\.json"):
        validate_model_name(f"hf:{tmp_path}")
    for name in ("hf:/no/such/folder", "hf:a/b/c", "hf:../x"):
        with pytest.raises(ModelError, match="no such folder"):
            validate_model_name(name)


def test_without_transformers_the_error_says_what_to_install(monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "transformers" else real(name))
    with pytest.raises(ModelError, match=r"pip install tosmooth\[hf\]"):
        validate_model_name("hf:microsoft/resnet-18")


@pytest.mark.parametrize(
    ("size", "side"),
    [
        (224, 224),
        ([32, 32], 32),
        ((32, 48), None),
        ({"height": 16, "width": 16}, 16),
        ({"height": 16, "width": 24}, None),
        ({"shortest_edge": 256}, 256),
        (None, None),
    ],
)
def test_sizes_in_all_their_forms(size, side):
    assert _side(size) == side
