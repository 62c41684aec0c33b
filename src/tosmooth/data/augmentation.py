"""Training augmentations and evaluation transforms by name, as torchvision v2 transforms on uint8 images.

Images stay uint8: normalisation belongs to each model, which knows its own mean, standard deviation and input size.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from tosmooth.errors import ConfigError, did_you_mean

# torchvision takes more than a second to import, and configurations are read without: each builder imports it.
Transform = nn.Module  # of which torchvision's transforms are


def _flip() -> Transform:
    from torchvision.transforms import v2

    flip: Transform = v2.RandomHorizontalFlip()
    return flip


def _crop_flip(side: int) -> Transform:
    """Shift by up to 4 pixels (zero padding), flip: the usual recipe of CIFAR."""
    from torchvision.transforms import v2

    composed: Transform = v2.Compose([v2.RandomCrop(side, padding=4), v2.RandomHorizontalFlip()])
    return composed


def _imagenet(side: int) -> Transform:
    """The paper's for ImageNet-1K: random resized crop, flip."""
    from torchvision.transforms import v2

    composed: Transform = v2.Compose([v2.RandomResizedCrop(side, antialias=True), v2.RandomHorizontalFlip()])
    return composed


def _cub(side: int) -> Transform:
    """The paper's for CUB-200-2011: gentler crop, flip, rotation, grayscale, jitter of brightness and contrast."""
    from torchvision.transforms import v2

    composed: Transform = v2.Compose(
        [
            v2.RandomResizedCrop(side, scale=(0.2, 1.0), ratio=(0.8, 1.25), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.RandomRotation(45, interpolation=v2.InterpolationMode.BILINEAR),
            v2.RandomGrayscale(0.2),
            # The authors' scripts leave saturation and hue alone.
            v2.ColorJitter(brightness=0.2, contrast=0.2),
        ]
    )
    return composed


def _resize_center_crop(side: int) -> Transform:
    """Shorter side to 256/224 of the crop, centre crop: the paper's evaluation."""
    from torchvision.transforms import v2

    composed: Transform = v2.Compose([v2.Resize(round(side * 256 / 224), antialias=True), v2.CenterCrop(side)])
    return composed


# Those that take the side of their crop in pixels, and those that leave an image's size alone.
_SIZED: dict[str, Callable[[int], Transform]] = {
    "crop_flip": _crop_flip,
    "imagenet": _imagenet,
    "cub": _cub,
    "resize_center_crop": _resize_center_crop,
}
_SIZELESS: dict[str, Callable[[], Transform]] = {"none": nn.Identity, "flip": _flip}
_TRAIN = ("none", "flip", "crop_flip", "imagenet", "cub")
_EVAL = ("none", "resize_center_crop")


def train_transform_names() -> tuple[str, ...]:
    """Names of the training augmentations."""
    return _TRAIN


def eval_transform_names() -> tuple[str, ...]:
    """Names of the evaluation transforms."""
    return _EVAL


def check_transforms(train: str, evaluation: str, size: int | None) -> list[str]:
    """What is wrong with the names of both transforms, and with the size of their crops; nothing is built."""
    found = []
    for kind, names, name in (("train augmentation", _TRAIN, train), ("evaluation transform", _EVAL, evaluation)):
        try:
            _check(kind, names, name, size)
        except ConfigError as error:
            found += error.mistakes
    return found


def train_transform(name: str, size: int | None) -> Transform:
    """A training augmentation, uint8 (C, H, W) → uint8 (C, size, size).

    Raises:
        ConfigError: unknown name, or it needs a size and there is none.
    """
    _check("train augmentation", _TRAIN, name, size)
    return _build(name, size)


def eval_transform(name: str, size: int | None) -> Transform:
    """An evaluation transform; the same in, the same out.

    Raises:
        ConfigError: unknown name, or it needs a size and there is none.
    """
    _check("evaluation transform", _EVAL, name, size)
    return _build(name, size)


def _check(kind: str, names: tuple[str, ...], name: str, size: int | None) -> None:
    if name not in names:
        raise ConfigError([f"unknown {kind} {name!r}; {did_you_mean(name, names)}"])
    if name in _SIZED and size is None:
        raise ConfigError([f"data.image_size: {name!r} needs the side of the crop in pixels, for example 224"])


def _build(name: str, size: int | None) -> Transform:
    return _SIZELESS[name]() if size is None or name in _SIZELESS else _SIZED[name](size)
