"""Image classifiers by name: ``resnet8`` … ``resnet110``, ``timm:…``, ``torchvision:…``, ``hf:…``.

A new source of models is a module (or object) with two functions, `validate` and `build`, under a prefix of its own:
see `register_model_source`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from tosmooth.errors import ModelError, UnfetchedError
from tosmooth.models.image_model import ImageModel, InputSpec
from tosmooth.models.names import find_model_source, register_model_source, validate_model_name
from tosmooth.models.request import BuildRequest
from tosmooth.models.weights import check_published, load_weights

__all__ = ["ImageModel", "InputSpec", "build_image_model", "register_model_source", "validate_model_name"]


def build_image_model(
    name: str,
    num_classes: int,
    *,
    channels: int = 3,
    image_size: int | None = None,
    pretrained: bool = False,
    checkpoint: Path | None = None,
    replace_head: bool = False,
    ema: bool = False,
    width: float | None = None,
    kwargs: Mapping[str, Any] | None = None,
    seed: int | None = None,
) -> ImageModel:
    """Build an image classifier, on the CPU and in train mode.

    Args:
        name: ``resnet8`` … ``resnet110`` (CIFAR style), ``timm:…``, ``torchvision:…``, ``hf:…`` (hub id or folder).
        num_classes: K, at least 2.
        channels: of the images, 1 or 3. Grey images are repeated for a backbone that wants RGB.
        image_size: side of the images the data will bring, pixels; given, the model is tried on one such image.
        pretrained: start from the library's weights (may download), with a new head where its class count is not K.
        checkpoint: a safetensors or PyTorch file to start from; see `load_weights`.
        replace_head: keep the new last layer where the checkpoint has another class count.
        ema: take the averaged weights of a checkpoint that has plain ones, too.
        width: channel multiplier of the CIFAR-style ResNets.
        kwargs: further arguments of the model's constructor. Three are ours, for every model: ``mean`` and ``std``
            (normalisation of images in [0, 1]) and ``input_size`` (pixels; images of another size are resized).
        seed: of the initial weights: the same seed gives the same weights whatever was built before, and the caller's
            random state is left alone. None draws from the caller's.

    Raises:
        ModelError: unknown name, arguments the model does not take, images too small for it, a checkpoint that does
            not fit.
    """
    source, rest = find_model_source(name)
    source.validate(rest)
    if num_classes < 2:
        raise ModelError(f"{name}: num_classes is {num_classes}, a classifier needs at least 2")
    if channels not in (1, 3):
        raise ModelError(f"{name}: channels is {channels}, must be 1 (grey) or 3 (RGB)")
    options = dict(kwargs or {})
    given = {field: options.pop(key) for key, field in INPUT_KWARGS.items() if key in options}
    request = BuildRequest(num_classes, channels, pretrained, width, options)
    with nullcontext() if seed is None else torch.random.fork_rng(devices=[]):
        if seed is not None:
            # Not torch.manual_seed: that reseeds the accelerators too, which fork_rng would not put back.
            torch.default_generator.manual_seed(seed)
        try:
            backbone, spec = source.build(rest, request)
        except ModelError:
            raise
        except Exception as error:  # a library's constructor may raise anything
            unknown = [key for key in options if f"'{key}'" in str(error)]
            if unknown and isinstance(error, TypeError) and "unexpected keyword argument" in str(error):
                taken = ", ".join(map(repr, unknown))
                raise ModelError(f"{name}: does not take kwargs {taken}; leave out, or choose another model") from error
            reason = f"{name}: could not be built: {type(error).__name__}: {error}"
            if pretrained and isinstance(error, OSError):  # of files and of the network, in all three libraries
                raise UnfetchedError(name, reason) from error
            raise ModelError(reason) from error
        if pretrained:
            check_published(backbone, name)
        model = ImageModel(backbone, spec, name, num_classes, given).train()
        model.told = pretrained
        if checkpoint is not None:
            load_weights(model, checkpoint, replace_head=replace_head, ema=ema)
        _try_on_one_image(model, channels, image_size)
    return model


INPUT_KWARGS = {"mean": "mean", "std": "std", "input_size": "size"}  # ours, not the constructor's


def _try_on_one_image(model: ImageModel, channels: int, image_size: int | None) -> None:
    """Find out now, not in the middle of a study, that the images are too small or the output is not (N, K)."""
    size = image_size or model.input.size
    if size is None:
        return
    model.eval()
    try:
        with torch.no_grad():
            logits = model(torch.zeros(1, channels, size, size))
    except (RuntimeError, ValueError, AssertionError, IndexError) as error:
        seen = f"{model.input.size or size} × {model.input.size or size} pixels"
        raise ModelError(
            f"{model.name}: does not work on images of {seen} (kwargs: input_size=… resizes them): {error}"
        ) from error
    finally:
        model.train()
    if logits.shape != (1, model.num_classes):
        raise ModelError(
            f"{model.name}: one image gives an output of shape {tuple(logits.shape)}, must be (1, {model.num_classes})"
        )
