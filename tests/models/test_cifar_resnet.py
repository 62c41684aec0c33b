from __future__ import annotations

import pytest
import torch
from torch import nn

from tosmooth.errors import ModelError
from tosmooth.models.build import build_image_model
from tosmooth.models.cifar_network import CifarResNet
from tosmooth.models.cifar_resnet import DEPTHS


def test_depths_are_those_of_the_paper_and_between():
    assert {20, 32, 44, 56, 110} <= set(DEPTHS)
    assert (DEPTHS[0], DEPTHS[-1]) == (8, 110)


@pytest.mark.parametrize("depth", [8, 20, 56])
def test_depth_counts_the_layers_on_the_main_path(depth):
    net = CifarResNet(depth, 10)
    main = [
        m for m in net.modules() if isinstance(m, nn.Linear) or (isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3))
    ]
    assert len(main) == depth


def test_parameters_by_hand():
    stem = 1 * 16 * 9 + 32
    stage1 = 2 * 16 * 16 * 9 + 2 * 32
    stage2 = 16 * 32 * 9 + 32 * 32 * 9 + 2 * 64 + (16 * 32 + 64)
    stage3 = 32 * 64 * 9 + 64 * 64 * 9 + 2 * 128 + (32 * 64 + 128)
    head = 64 * 10 + 10
    net = CifarResNet(8, 10, channels=1)
    assert sum(p.numel() for p in net.parameters()) == stem + stage1 + stage2 + stage3 + head


@pytest.mark.parametrize(("width", "features"), [(0.5, 32), (1, 64), (2, 128)])
def test_width_multiplies_the_channels(width, features):
    assert build_image_model("resnet8", 10, width=width).backbone.fc.in_features == features


@pytest.mark.parametrize(("stride", "side"), [(1, 7), (2, 4)])
def test_stem_stride_halves_the_resolution(stride, side):
    net = CifarResNet(8, 10, channels=1, stem_stride=stride)
    sides = []
    net.layer3.register_forward_hook(lambda _module, _inputs, out: sides.append(out.shape[-2:]))
    assert net(torch.rand(2, 1, 28, 28)).shape == (2, 10)
    assert sides == [(side, side)]


def test_a_block_adds_its_input():
    # With both convolutions at zero a block of equal width passes non-negative input through unchanged.
    block = CifarResNet(8, 10).layer1[0].eval()
    nn.init.zeros_(block.conv2.weight)
    x = torch.rand(2, 16, 4, 4)
    torch.testing.assert_close(block(x), x)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0.0}, "width is 0.0"),
        ({"kwargs": {"stem_stride": 3}}, "stem_stride is 3, must be 1 or 2"),
        ({"kwargs": {"stem": 2}}, "unknown kwargs 'stem'"),
        ({"pretrained": True}, "no pretrained weights"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ModelError, match=message):
        build_image_model("resnet8", 10, **options)
