"""The residual networks for small images: three stages, 6n + 2 layers. It needs PyTorch alone: exports bring it along.

He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.2. Where a stage changes
the width, the shortcut is a 1×1 convolution (their option B), the common choice in distillation work.
"""

from __future__ import annotations

from torch import Tensor, nn


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
