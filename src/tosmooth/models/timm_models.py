"""Models of timm, by timm's own names: ``timm:resnet50``, ``timm:vit_tiny_patch16_224.augreg_in21k``."""

from __future__ import annotations

import sys
from typing import Any

from torch import Tensor, nn

from tosmooth.errors import ModelError, TosmoothError, did_you_mean
from tosmooth.models.image_model import IMAGENET_MEAN, IMAGENET_STD, InputSpec
from tosmooth.models.request import BuildRequest

_OURS = {
    "num_classes": "the data sets it",
    "pretrained": "use the model's own setting pretrained",
    # timm would open a file with the full pickle format.
    "checkpoint_path": "use the model's own setting checkpoint",
    "pretrained_cfg": "name the weights as timm:model.tag",
    "pretrained_cfg_overlay": "use the model's own setting checkpoint",
}


def validate(name: str) -> None:
    """Raise a ModelError unless timm has this model, and the tag of weights behind a dot, if one is given."""
    import timm  # seconds to import: only studies that use it pay

    architecture, dot, tag = name.partition(".")
    if not timm.is_model(architecture):
        known = [f"timm:{one}" for one in timm.list_models()]
        raise ModelError(f"unknown model 'timm:{name}'; {did_you_mean(f'timm:{architecture}', known)}")
    tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{architecture}.*")]
    if dot and tag not in tags:
        raise ModelError(f"unknown weights {tag!r} of 'timm:{architecture}'; {did_you_mean(tag, tags)}")


def build(name: str, request: BuildRequest) -> tuple[nn.Module, InputSpec]:
    """The timm model, and what its configuration says it wants to see."""
    import timm

    request.refuse(f"timm:{name}", _OURS, width="choose a timm model of that width")
    backbone = timm.create_model(name, pretrained=request.pretrained, **arguments(name, request))
    return backbone, _input_spec(name, backbone.pretrained_cfg, request)


def arguments(name: str, request: BuildRequest) -> dict[str, Any]:
    """What timm's constructor is given, beside the name."""
    return {**request.kwargs, "num_classes": request.num_classes}


def published_size(name: str) -> int | None:
    """Side of the images that the published weights want to see, in pixels; None where timm does not know."""
    import timm

    config = timm.get_pretrained_cfg(name)
    return None if config is None else _side(name, config.input_size[1:])


def as_read(backbone: nn.Module, state: dict[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """A state dict as timm reads it: names of the original implementation (ConvNeXt's, Swin's) as timm's own.

    Where timm's reading does not find more of the model's names, the state dict stays what it is.
    """
    convert = getattr(sys.modules.get(type(backbone).__module__), "checkpoint_filter_fn", None)
    if convert is None:
        return state, []
    try:
        converted = dict(convert(dict(state), backbone))
    except TosmoothError:  # a signal's
        raise
    except Exception:  # it expects a file of this architecture, and whatever is missing there fails in its own way
        return state, []
    own = backbone.state_dict()
    more = sum(name in own for name in converted) > sum(name in own for name in state)
    return (converted, []) if more and all(isinstance(v, Tensor) for v in converted.values()) else (state, [])


def _input_spec(name: str, config: dict[str, Any], request: BuildRequest) -> InputSpec:
    size = None
    if "img_size" in request.kwargs:
        size = _side(name, request.kwargs["img_size"])
    elif request.pretrained or config.get("fixed_input_size"):
        size = _side(name, config["input_size"][1:])
    return InputSpec(
        channels=request.kwargs.get("in_chans", 3),
        size=size,
        mean=config.get("mean", IMAGENET_MEAN),
        std=config.get("std", IMAGENET_STD),
    )


def _side(name: str, size: Any) -> int:
    sides = {size} if isinstance(size, int) else set(size)
    if len(sides) != 1:
        raise ModelError(f"timm:{name}: takes images of {size} pixels; only square inputs are supported")
    return int(sides.pop())
