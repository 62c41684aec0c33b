"""The residual networks for small images: three stages, 6n + 2 layers.

He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.2. Where a stage changes
the width, the shortcut is a 1×1 convolution (their option B), the common choice in distillation work.
"""

from __future__ import annotations

import re

from torch import Tensor, nn

from tosmooth.errors import ModelError, did_you_mean
from tosmooth.models.image_model import InputSpec
from tosmooth.models.request import BuildRequest

DEPTHS = tuple(range(8, 111, 6))
NAMES = tuple(f"resnet{depth}" for depth in DEPTHS)


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut: (N, C_in, H, W) → (N, C_out, H/stride, W/stride)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Features of the block, after the last ReLU."""
        out = self.relu(self.bn1(self.conv1(x)))
        summed: Tensor = self.bn2(self.conv2(out)) + self.shortcut(x)
        return nn.functional.relu(summed, inplace=True)


class CifarResNet(nn.Module):
    """A ResNet of 6n + 2 layers with stages of 16, 32 and 64 channels times `width`.

    Args:
        depth: 8, 14, 20, … 110.
        num_classes: K.
        channels: of the images, 1 or 3.
        width: channel multiplier, above 0.
        stem_stride: stride of the first convolution. 2 halves the resolution of everything after it, at about a quarter
            of the cost: the CPU choice for 28 × 28 images.
    """

    def __init__(
        self, depth: int, num_classes: int, *, channels: int = 3, width: float = 1.0, stem_stride: int = 1
    ) -> None:
        super().__init__()
        blocks = (depth - 2) // 6
        widths = [max(1, round(base * width)) for base in (16, 32, 64)]
        self.conv1 = nn.Conv2d(channels, widths[0], 3, stem_stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = self._stage(widths[0], widths[0], blocks, stride=1)
        self.layer2 = self._stage(widths[0], widths[1], blocks, stride=2)
        self.layer3 = self._stage(widths[1], widths[2], blocks, stride=2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(widths[2], num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @staticmethod
    def _stage(inputs: int, outputs: int, blocks: int, stride: int) -> nn.Sequential:
        return nn.Sequential(
            BasicBlock(inputs, outputs, stride), *(BasicBlock(outputs, outputs, 1) for _ in range(blocks - 1))
        )

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K) of normalised images (N, C, H, W)."""
        x = self.relu(self.bn1(self.conv1(images)))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.fc(self.pool(x).flatten(1))
        return logits


def validate(name: str) -> None:
    """Raise a ModelError unless `name` is resnet8, resnet14, … resnet110."""
    if name in NAMES:
        return
    depth = re.fullmatch(r"resnet(\d+)", name)
    if depth:
        near = min(DEPTHS, key=lambda d: abs(d - int(depth[1])))
        elsewhere = f", or 'torchvision:{name}'" if name in {"resnet18", "resnet34", "resnet101", "resnet152"} else ""
        raise ModelError(
            f"unknown model {name!r}: a CIFAR-style ResNet has 6n + 2 layers, 8 to 110; did you mean 'resnet{near}'"
            f"{elsewhere}?"
        )
    raise ModelError(f"unknown model {name!r}; {did_you_mean(name, NAMES)}")


def build(name: str, request: BuildRequest) -> tuple[nn.Module, InputSpec]:
    """The network and what it wants to see: images as they come, scaled to [−1, 1]."""
    validate(name)
    if request.pretrained:
        raise ModelError(f"{name}: the CIFAR-style ResNets have no pretrained weights; give a checkpoint")
    options = dict(request.kwargs)
    stride = options.pop("stem_stride", 1)
    if options:
        raise ModelError(f"{name}: unknown kwargs {', '.join(map(repr, options))}; Allowed: 'stem_stride'")
    if isinstance(stride, bool) or stride not in (1, 2):
        raise ModelError(f"{name}: stem_stride is {stride!r}, must be 1 or 2")
    width = 1.0 if request.width is None else request.width
    if not 0 < width < float("inf"):
        raise ModelError(f"{name}: width is {width!r}, must be a channel multiplier above 0")
    depth = int(name.removeprefix("resnet"))
    network = CifarResNet(depth, request.num_classes, channels=request.channels, width=width, stem_stride=int(stride))
    return network, InputSpec(channels=request.channels)
