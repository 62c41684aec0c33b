"""Training augmentations and evaluation transforms by name, as torchvision v2 transforms on uint8 images.

Images stay uint8: normalisation belongs to each model, which knows its own mean, standard deviation and input size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tosmooth.errors import ConfigError, DataError, did_you_mean

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tosmooth.config.schema import DataConfig

    Transform = nn.Module  # as torchvision's are

# To what the shorter side of an image is brought before the middle is cropped, in units of the crop's side.
_BEFORE_CROP = {"resize_center_crop": 256 / 224, "whole_center_crop": 1.0}
FIXED_VIEWS = ("none", *_BEFORE_CROP)  # that show an image in one way
_TRAIN = ("none", "flip", "crop_flip", "gentle_crop", "imagenet", "cub", *_BEFORE_CROP)
_EVAL = FIXED_VIEWS
SIZELESS = {"none", "flip"}  # the others take the side of their crop in pixels


def side_before_crop(name: str, side: int) -> int | None:
    """To how many pixels a transform brings the shorter side of an image, before it crops the middle of `side` pixels.

    Args:
        name: of the transform.
        side: of the crop.

    Returns:
        None for transforms that do not crop the middle.
    """
    return round(side * _BEFORE_CROP[name]) if name in _BEFORE_CROP else None


def train_transform_names() -> tuple[str, ...]:
    """Names of the training augmentations."""
    return _TRAIN


def eval_transform_names() -> tuple[str, ...]:
    """Names of the evaluation transforms."""
    return _EVAL


def transformed(image: Tensor, transform: Callable[[Tensor], Tensor], name: str) -> Tensor:
    """An image (C, H, W) as a transform shows it.

    Raises:
        DataError: the image is smaller than the transform's crop; `name` says which one it is.
    """
    try:
        return transform(image)
    except ValueError as error:  # torchvision's, of a crop that does not fit
        raise too_small(name, image.shape[2], image.shape[1], error) from None


def too_small(name: str, width: int, height: int, error: ValueError) -> DataError:
    """What to say of an image that a transform cannot crop."""
    return DataError(
        f"{name}: {width} × {height} pixels, and the transform cannot crop it ({error}); set a smaller data.image_size "
        "or a transform that brings images to it (data.train_augmentation=imagenet, "
        "data.eval_transform=resize_center_crop)"
    )


def check_transforms(train: str, evaluation: str, size: int | None) -> list[str]:
    """What is wrong with the names of both transforms, and with the size of their crops; nothing is built."""
    return [
        *(f"data.train_augmentation: {text}" for text in _mistakes("train augmentation", _TRAIN, train, size)),
        *(f"data.eval_transform: {text}" for text in _mistakes("evaluation transform", _EVAL, evaluation, size)),
    ]


def train_transform(name: str, size: int | None) -> Transform:
    """A training augmentation, uint8 (C, H, W) → uint8 (C, size, size).

    Raises:
        ConfigError: unknown name, or it needs a size and there is none.
    """
    return _build("train augmentation", _TRAIN, name, size)


def full_train_transform(config: DataConfig) -> Transform:
    """The training augmentation, and then what `auto_augment` and `random_erasing` add; uint8 in and out.

    Raises:
        ConfigError: as `train_transform`.
    """
    first = train_transform(config.train_augmentation, config.image_size)
    if not config.augments_further:
        return first
    from torch import nn

    from tosmooth.data import transforms

    policy, strength, erasing = config.auto_augment, config.randaugment_magnitude, config.random_erasing
    return nn.Sequential(first, *transforms.further(policy, strength, erasing))


def eval_transform(name: str, size: int | None) -> Transform:
    """An evaluation transform; the same in, the same out.

    Raises:
        ConfigError: unknown name, or it needs a size and there is none.
    """
    return _build("evaluation transform", _EVAL, name, size)


def _mistakes(kind: str, names: tuple[str, ...], name: str, size: int | None) -> list[str]:
    if name not in names:
        return [f"unknown {kind} {name!r}; {did_you_mean(name, names)}"]
    if name not in SIZELESS and size is None:
        return [f"data.image_size: {name!r} needs the side of the crop in pixels, for example 224"]
    return []


def _build(kind: str, names: tuple[str, ...], name: str, size: int | None) -> Transform:
    if mistakes := _mistakes(kind, names, name, size):
        raise ConfigError(mistakes)
    if name == "none":
        from torch import nn

        return nn.Identity()
    from tosmooth.data import transforms  # and with it torchvision, which configurations are read without

    built: Transform = transforms.build(name, size)
    return built
