"""The residual networks for small images by name: ``resnet8`` … ``resnet110``; see `cifar_network`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tosmooth.errors import ModelError, did_you_mean
from tosmooth.models.request import BuildRequest

if TYPE_CHECKING:  # names are known without PyTorch
    from torch import nn

    from tosmooth.models.image_model import InputSpec

DEPTHS = tuple(range(8, 111, 6))
NAMES = tuple(f"resnet{depth}" for depth in DEPTHS)


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
    if request.width is not None and not 0 < request.width < float("inf"):
        raise ModelError(f"{name}: width is {request.width!r}, must be a channel multiplier above 0")
    from tosmooth.models.cifar_network import CifarResNet
    from tosmooth.models.image_model import InputSpec

    return CifarResNet(**arguments(name, request)), InputSpec(channels=request.channels)


def arguments(name: str, request: BuildRequest) -> dict[str, Any]:
    """What the constructor is given, of a valid name and request."""
    return {
        "depth": int(name.removeprefix("resnet")),
        "num_classes": request.num_classes,
        "channels": request.channels,
        "width": 1.0 if request.width is None else request.width,
        "stem_stride": int(request.kwargs.get("stem_stride", 1)),
    }
