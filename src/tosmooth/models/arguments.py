"""What a training script's arguments, left in a checkpoint, say of the images that the model was trained on.

timm's `CheckpointSaver` leaves them under `args`: `img_size` or `input_size` (channels, height, width), `mean`, `std`.
torchvision's reference scripts have `val_crop_size`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tosmooth.errors import ModelError
from tosmooth.models.image_model import LARGEST_SIDE, InputSpec


def input_of(arguments: Mapping[str, Any], usual: InputSpec) -> InputSpec | None:
    """What a model wants to see by the arguments of its training; None where they say nothing of it, or what cannot be.

    Args:
        arguments: by name.
        usual: of the architecture, for what they do not say.
    """
    said: dict[str, Any] = {}
    if (size := _size(arguments)) is not None:
        said["size"] = size
    said |= _normalisation(arguments)
    if not said:
        return None
    try:
        return dataclasses.replace(usual, **said)
    except ModelError:  # other channels than the model has, a standard deviation of 0
        return None


def says_normalisation(arguments: Mapping[str, Any]) -> bool:
    """Whether they say by which mean or standard deviation images are normalised."""
    return bool(_normalisation(arguments))


def _normalisation(arguments: Mapping[str, Any]) -> dict[str, tuple[float, ...]]:
    """`mean` and `std` of images in [0, 1]; those of other images, as of bytes, are not guessed from."""
    found = {name: arguments.get(name) for name in ("mean", "std")}
    return {
        name: tuple(values)
        for name, values in found.items()
        if isinstance(values, list | tuple) and values and all(_is_share(value) for value in values)
    }


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def in_words(spec: InputSpec) -> str:
    """`64 pixels, mean (0.5, 0.5, 0.5), standard deviation (0.5, 0.5, 0.5)`."""
    mean, std = (f"({', '.join(f'{value:.4g}' for value in values)})" for values in (spec.mean, spec.std))
    size = "" if spec.size is None else f"{spec.size} pixels, "
    return f"{size}mean {mean}, standard deviation {std}"


def _size(arguments: Mapping[str, Any]) -> int | None:
    whole = arguments.get("input_size")  # timm's: it goes before img_size there, too
    sides = whole[1:] if isinstance(whole, list | tuple) and len(whole) == 3 and whole[1] == whole[2] else ()
    for side in (*sides, arguments.get("img_size"), arguments.get("val_crop_size")):
        if isinstance(side, int) and not isinstance(side, bool) and 1 < side <= LARGEST_SIDE:
            return side
    return None
