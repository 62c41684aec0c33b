"""Classifiers of torchvision, by its own names: ``torchvision:resnet18``, ``torchvision:resnet50.IMAGENET1K_V1``.

A model's published weights go by torchvision's names behind a dot; without one, they are its default ones. Those of
ResNet-50 (IMAGENET1K_V2) were trained with label smoothing, the older IMAGENET1K_V1 were not.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from tosmooth.errors import ModelError, did_you_mean
from tosmooth.models.image_model import InputSpec
from tosmooth.models.last_layer import final_layers
from tosmooth.models.request import BuildRequest

if TYPE_CHECKING:  # more than a second to import: only studies that use it pay
    from torchvision.models import WeightsEnum

_OURS = {
    "num_classes": "the data sets it",
    "pretrained": "use the model's own setting pretrained",
    "weights": "use the model's own settings pretrained or checkpoint",
    "weights_backbone": "use the model's own settings pretrained or checkpoint",
    "aux_logits": "auxiliary heads are left out: one model, one set of logits",
    "transform_input": "normalisation is done in front of the model; use mean and std",
}
# Their pretrained forms renormalise inside the network, from ImageNet's mean and std to 0.5. We give them 0.5 at once.
_WITH_AUXILIARY_HEADS = ("googlenet", "inception_v3")
_AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")


def validate(name: str) -> None:
    """Raise a ModelError unless torchvision has this classifier, and the weights behind a dot, if they are given."""
    from torchvision import models

    known = models.list_models(module=models)
    architecture, dot, tag = name.partition(".")
    if architecture not in known:
        near = did_you_mean(f"torchvision:{architecture}", [f"torchvision:{one}" for one in known])
        raise ModelError(f"unknown model 'torchvision:{name}'; {near}")
    tags = [weights.name for weights in models.get_model_weights(architecture)]
    if dot and tag not in tags:
        raise ModelError(f"unknown weights {tag!r} of 'torchvision:{architecture}'; {did_you_mean(tag, tags)}")


def published_weights(name: str) -> WeightsEnum:
    """The published weights that a valid name speaks of; nothing is fetched."""
    from torchvision import models

    architecture, _, tag = name.partition(".")
    known = models.get_model_weights(architecture)
    return known[tag] if tag else known.DEFAULT  # type: ignore[attr-defined, no-any-return]


def published_size(name: str) -> int:
    """Side of the images that the published weights want to see, in pixels."""
    return int(published_weights(name).transforms().crop_size[0])


def build(name: str, request: BuildRequest) -> tuple[nn.Module, InputSpec]:
    """The torchvision model, and what its published weights were trained to see."""
    from torchvision import models

    request.refuse(f"torchvision:{name}", _OURS, width="some take width_mult in kwargs")
    weights, options = published_weights(name), arguments(name, request)
    name = name.partition(".")[0]
    seen = weights.transforms()
    fixed = None
    if name.startswith("vit_"):
        fixed = options["image_size"]
    elif name == "maxvit_t":
        fixed = options["input_size"][0]
    mean, std = (seen.mean, seen.std) if name not in _WITH_AUXILIARY_HEADS else ([0.5] * 3, [0.5] * 3)
    backbone = models.get_model(name, weights=None, **options)
    if request.pretrained:
        # Not get_model(weights=…): that opens the download as a full pickle.
        load_pretrained(backbone, weights.get_state_dict(progress=False, check_hash=True, weights_only=True))
    size = fixed or (seen.crop_size[0] if request.pretrained else None)
    return backbone, InputSpec(channels=3, size=size, mean=tuple(mean), std=tuple(std))


def arguments(name: str, request: BuildRequest) -> dict[str, Any]:
    """What torchvision's constructor is given, of a valid name and request."""
    side = published_size(name)
    fixed: dict[str, Any] = {}
    if name.startswith("vit_"):
        fixed = {"image_size": side}
    elif name.partition(".")[0] == "maxvit_t":
        fixed = {"input_size": (side, side)}
    found = fixed | {**request.kwargs, "num_classes": request.num_classes}
    if name.partition(".")[0] in _WITH_AUXILIARY_HEADS:
        found |= {"aux_logits": False, "transform_input": False, "init_weights": True}
    return found


def load_pretrained(backbone: nn.Module, state: dict[str, Any]) -> None:
    """Load torchvision's published weights; the last layer stays new where its class count differs.

    Raises:
        RuntimeError: tensors other than the last layer's do not fit.
    """
    own = backbone.state_dict()
    state, _ = as_read(backbone, state)
    head = {f"{name}.{kind}" for name in final_layers(backbone) for kind in ("weight", "bias")}
    kept: dict[str, Tensor] = {k: own[k] if k in head and v.shape != own[k].shape else v for k, v in state.items()}
    backbone.load_state_dict(kept, strict=True)


def as_read(backbone: nn.Module, state: dict[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """A state dict as torchvision reads it: old names as today's, without auxiliary heads; and the names of those."""
    auxiliary = [name for name in state if name.startswith(_AUXILIARY) and name not in backbone.state_dict()]
    return {_current_name(name): tensor for name, tensor in state.items() if name not in auxiliary}, auxiliary


def _current_name(key: str) -> str:
    """DenseNet's files still say "denselayer1.norm.1.weight" where the module is "denselayer1.norm1"."""
    return re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\.", r"\1\2.", key)
