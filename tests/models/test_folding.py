"""Folded batch normalisation against the plain network, and last layers in float32 under autocast."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.fx import Proxy

from tosmooth.models.build import build_image_model
from tosmooth.models.folding import folded
from tosmooth.models.image_model import ImageModel, InputSpec
from tosmooth.models.last_layer import find_last_layer, keep_float32

ROUNDING = 1e-5  # of the logits' norm; measured: about 1e-6


def trained_like(model: ImageModel) -> ImageModel:
    """In eval mode, with statistics and scales as training leaves them: those of a new network fold to nothing."""
    random = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1, generator=random)
            module.running_var.uniform_(0.5, 2, generator=random)
            module.weight.data.uniform_(0.5, 1.5, generator=random)
            module.bias.data.normal_(0, 0.1, generator=random)
    return model.eval().requires_grad_(False)


def images(count: int, side: int = 32) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "name", ["resnet8", "resnet20", "torchvision:resnet18", "timm:resnet10t", "torchvision:mobilenet_v3_small"]
)
def test_a_folded_network_gives_the_same_logits(name: str) -> None:
    model = trained_like(build_image_model(name, 10, image_size=32, seed=0))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    twin = folded(model, images(2), find_last_layer(model, 10)[0])
    assert twin is not None
    assert not any(isinstance(module, nn.BatchNorm2d) for module in twin.modules())
    with torch.no_grad():
        plain, fast = model(images(7)), twin(images(7))  # another number of images than it was tried with
    assert (plain - fast).norm() < ROUNDING * plain.norm()
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert find_last_layer(twin, 10)[0] == find_last_layer(model, 10)[0]


class Branching(nn.Module):
    """Asks what the numbers are, which a trace cannot know; or does something else while it is traced."""

    def __init__(self, *, traceable: bool) -> None:
        super().__init__()
        self.traceable = traceable
        self.conv, self.norm, self.fc = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        if not self.traceable and x.sum() > 0:
            x = -x
        logits = self.fc(self.norm(self.conv(x)).mean((2, 3)))
        return logits + isinstance(x, Proxy)


@pytest.mark.parametrize("traceable", [False, True])
def test_a_network_whose_trace_is_another_one_stays_as_it_is(traceable: bool) -> None:
    backbone = Branching(traceable=traceable)
    assert folded(trained_like(ImageModel(backbone, InputSpec(), "own", 5)), images(2), "backbone.fc") is None


@pytest.mark.parametrize("name", ["timm:test_vit", "timm:mobilenetv3_small_050"])
def test_a_network_without_plain_batch_normalisation_stays_as_it_is(name: str) -> None:
    model = trained_like(build_image_model(name, 10, image_size=160 if "vit" in name else 32, seed=0))
    assert folded(model, images(2, 160), find_last_layer(model, 10)[0]) is None


@pytest.mark.parametrize("name", ["resnet8", "torchvision:squeezenet1_1"])
def test_a_last_layer_kept_in_float32_is_not_rounded(name: str) -> None:
    model = trained_like(build_image_model(name, 10, image_size=32, seed=0))
    _, layer = find_last_layer(model, 10)
    entered: list[Tensor] = []
    layer.register_forward_pre_hook(lambda _, inputs: entered.append(inputs[0]))
    with torch.no_grad():
        plain = model(images(4))
        with torch.autocast("cpu", torch.bfloat16):
            assert model(images(4)).dtype == torch.bfloat16
            keep_float32(layer)
            exact = model(images(4))
        assert entered[-1].dtype == torch.bfloat16
        if isinstance(layer, nn.Linear):
            assert torch.equal(exact, nn.functional.linear(entered[-1].float(), layer.weight, layer.bias))
        assert exact.dtype == torch.float32
        assert torch.equal(model(images(4)), plain)  # without autocast nothing changes
