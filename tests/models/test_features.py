from __future__ import annotations

import gc

import pytest
import torch
import torchvision
from torch import nn

from tosmooth.errors import ModelError
from tosmooth.models.build import build_image_model
from tosmooth.models.features import PenultimateFeatures

IMAGES = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def hooks(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in model.modules())


@pytest.fixture
def model():
    return build_image_model("resnet8", 10, width=0.5, seed=0).eval()


def test_logits_are_the_models_and_features_what_enters_the_last_layer(model):
    with torch.no_grad(), PenultimateFeatures(model) as features_of:
        logits, features = features_of(IMAGES)
        assert torch.equal(logits, model(IMAGES))
    assert features.shape == (3, 32)
    torch.testing.assert_close(model.backbone.fc(features), logits)


def test_it_is_a_plain_callable_too(model):
    features_of = PenultimateFeatures(model, 10)
    logits, features = features_of(IMAGES)
    assert features_of.last_layer is model.backbone.fc
    torch.testing.assert_close(model.backbone.fc(features), logits)


def test_bare_modules_of_a_library():
    model = torchvision.models.shufflenet_v2_x0_5(num_classes=10).eval()
    with PenultimateFeatures(model, 10) as features_of:
        logits, features = features_of(torch.rand(2, 3, 32, 32))
    torch.testing.assert_close(model.fc(features), logits)


def test_a_convolutional_head_gives_the_spatial_mean_of_its_input():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    with PenultimateFeatures(model, 4) as features_of:
        _, features = features_of(IMAGES)
    torch.testing.assert_close(features, model[:2](IMAGES).mean(dim=(2, 3)))


def test_one_hook_and_none_afterwards(model):
    with PenultimateFeatures(model) as features_of:
        assert hooks(model) == 1
        for _ in range(3):
            features_of(IMAGES)
        assert hooks(model) == 1
    assert hooks(model) == 0
    with pytest.raises(ModelError, match="closed"):
        features_of(IMAGES)
    with features_of:
        assert features_of(IMAGES)[1].shape == (3, 32)
    assert hooks(model) == 0


def test_the_hook_goes_with_an_error_and_with_the_object(model):
    with pytest.raises(ZeroDivisionError), PenultimateFeatures(model):
        raise ZeroDivisionError
    assert hooks(model) == 0
    features_of = PenultimateFeatures(model)
    assert hooks(model) == 1
    del features_of
    gc.collect()
    assert hooks(model) == 0


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_the_callers(model, training):
    model.train(training)
    with PenultimateFeatures(model) as features_of:
        features_of(IMAGES)
    assert all(module.training is training for module in model.modules())
    assert int(model.backbone.bn1.num_batches_tracked) == int(training)


def test_gradients_flow_where_they_are_asked_for(model):
    with PenultimateFeatures(model) as features_of:
        features_of(IMAGES)[1].sum().backward()
        assert model.backbone.conv1.weight.grad is not None
        assert model.backbone.fc.weight.grad is None
        with torch.no_grad():
            assert not features_of(IMAGES)[1].requires_grad


class Tokens(nn.Module):
    """Classifies tokens first and averages afterwards."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(3, 5)

    def forward(self, images):
        return self.head(images.flatten(2).transpose(1, 2)).mean(1)


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.main, self.body, self.extra = nn.Linear(3, 5), nn.Linear(3, 4), nn.Linear(4, 5)

    def forward(self, images):
        pooled = images.mean(dim=(2, 3))
        self.extra(self.body(pooled))
        return self.main(pooled)


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(3, 5)

    def forward(self, images):
        return self.head(images.mean(dim=(2, 3))) + self.head(images.amax(dim=(2, 3)))


def test_token_features_are_refused():
    with (
        PenultimateFeatures(Tokens(), 5) as features_of,
        pytest.raises(ModelError, match=r"shape \(3, 256, 3\).*\(N, D\)"),
    ):
        features_of(IMAGES)


def test_a_layer_that_does_not_make_the_logits_is_found_out():
    model = TwoHeads()
    with (
        PenultimateFeatures(model, 5) as features_of,
        pytest.raises(ModelError, match=r"'extra' is not .*'main', 'extra'"),
    ):
        features_of(IMAGES)
    with PenultimateFeatures(model, 5, layer="main") as features_of:
        logits, features = features_of(IMAGES)
    torch.testing.assert_close(features, IMAGES.mean(dim=(2, 3)))
    torch.testing.assert_close(model.main(features), logits)


def test_a_layer_that_runs_twice_is_refused():
    with PenultimateFeatures(Twice(), 5) as features_of, pytest.raises(ModelError, match="ran 2 times"):
        features_of(IMAGES)
