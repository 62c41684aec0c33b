"""Classifiers of different families, small enough to run in a test: name, options, image side, last layer."""

from __future__ import annotations

ARCHITECTURES = [
    ("resnet8", {"width": 0.5}, 16, "fc"),
    ("timm:resnet18", {}, 32, "fc"),
    ("timm:vit_tiny_patch16_224", {"kwargs": {"img_size": 32, "depth": 2}}, 32, "head"),
    ("timm:swin_tiny_patch4_window7_224", {"kwargs": {"img_size": 56, "depths": (1, 1, 1, 1)}}, 56, "head.fc"),
    ("timm:regnetx_002", {}, 32, "head.fc"),
    ("torchvision:mobilenet_v2", {}, 32, "classifier.1"),
    ("torchvision:efficientnet_b0", {}, 32, "classifier.1"),
    ("torchvision:convnext_tiny", {}, 32, "classifier.2"),
    ("torchvision:vit_b_16", {"kwargs": {"image_size": 32}}, 32, "heads.head"),
    ("torchvision:swin_t", {}, 32, "head"),
    ("torchvision:densenet121", {}, 32, "classifier"),
    ("torchvision:vgg11", {}, 32, "classifier.6"),
    ("torchvision:googlenet", {}, 64, "fc"),
]
