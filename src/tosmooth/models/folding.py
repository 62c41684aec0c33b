"""Batch normalisation folded into the convolutions in front of it, of models that only answer.

In eval mode it is one scale and one shift a channel, which the convolution's own weights can carry. PyTorch traces the
network and does it (`torch.fx.experimental.optimization.fuse`); here is decided whether what comes out serves.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.fx.experimental.optimization import fuse

from tosmooth.models.image_model import ImageModel
from tosmooth.models.last_layer import is_linear

ROUNDING = 1e-4  # by which logits may differ, in units of their norm; in float32 it is about 1e-6


def folded(model: ImageModel, images: Tensor, layer: str) -> ImageModel | None:
    """A twin that gives the same logits with fewer operations; None where there is nothing to fold or no such twin.

    Layers that do more than normalise (timm's `BatchNormAct2d`), and networks that cannot be traced, stay as they are.

    Args:
        model: in eval mode; it is left alone.
        images: (N, C, H, W), some of those that it is to see: the twin must answer them alike.
        layer: name of the last linear layer, which the twin must have, too.
    """
    try:
        backbone = cast(GraphModule, fuse(model.backbone))
        twin = ImageModel(backbone, model.input, model.name, model.num_classes, model.given).to(model.mean.device)
        with torch.no_grad():
            there, here = twin.eval()(images), model(images)
    except Exception:  # a stranger's network is run on stand-ins for tensors: it may raise anything
        return None
    same = there.shape == here.shape and bool((there - here).norm() <= ROUNDING * here.norm())
    kept = is_linear(dict(twin.named_modules()).get(layer, twin))
    return twin if same and kept and _left(backbone) < _normalisations(model) else None


def _left(network: GraphModule) -> int:
    """Normalisations that were not folded; a trace goes through those that PyTorch does not know as layers."""
    inside = sum(node.target is nn.functional.batch_norm for node in network.graph.nodes)
    return _normalisations(network) + inside


def _normalisations(model: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())
