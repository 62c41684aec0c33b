"""Training augmentations and evaluation transforms by name, as torchvision v2 transforms on uint8 images.

Images stay uint8: normalisation belongs to each model, which knows its own mean, standard deviation and input size.
"""

from __future__ import annotations

from collections.abc import Callable

from torchvision.transforms import v2

from tosmooth.errors import ConfigError, did_you_mean

Builder = Callable[[int | None], v2.Transform]


def _side(size: int | None, name: str) -> int:
    if size is None:
        raise ConfigError([f"data.image_size: {name!r} needs the side of the crop in pixels, for example 224"])
    return size


def _crop_flip(size: int | None) -> v2.Transform:
    """Shift by up to 4 pixels (zero padding), flip: the usual recipe of CIFAR."""
    return v2.Compose([v2.RandomCrop(_side(size, "crop_flip"), padding=4), v2.RandomHorizontalFlip()])


def _imagenet(size: int | None) -> v2.Transform:
    """The paper's for ImageNet-1K: random resized crop, flip."""
    return v2.Compose([v2.RandomResizedCrop(_side(size, "imagenet"), antialias=True), v2.RandomHorizontalFlip()])


def _cub(size: int | None) -> v2.Transform:
    """The paper's for CUB-200-2011: gentler crop, flip, rotation, grayscale, jitter of brightness and contrast."""
    return v2.Compose(
        [
            v2.RandomResizedCrop(_side(size, "cub"), scale=(0.2, 1.0), ratio=(0.8, 1.25), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.RandomRotation(45, interpolation=v2.InterpolationMode.BILINEAR),
            v2.RandomGrayscale(0.2),
            # The authors' scripts leave saturation and hue alone.
            v2.ColorJitter(brightness=0.2, contrast=0.2),
        ]
    )


def _resize_center_crop(size: int | None) -> v2.Transform:
    """Shorter side to 256/224 of the crop, centre crop: the paper's evaluation."""
    side = _side(size, "resize_center_crop")
    return v2.Compose([v2.Resize(round(side * 256 / 224), antialias=True), v2.CenterCrop(side)])


_TRAIN: dict[str, Builder] = {
    "none": lambda size: v2.Identity(),
    "flip": lambda size: v2.RandomHorizontalFlip(),
    "crop_flip": _crop_flip,
    "imagenet": _imagenet,
    "cub": _cub,
}
_EVAL: dict[str, Builder] = {"none": lambda size: v2.Identity(), "resize_center_crop": _resize_center_crop}


def train_transform_names() -> tuple[str, ...]:
    """Names of the training augmentations."""
    return tuple(_TRAIN)


def eval_transform_names() -> tuple[str, ...]:
    """Names of the evaluation transforms."""
    return tuple(_EVAL)


def train_transform(name: str, size: int | None) -> v2.Transform:
    """A training augmentation, uint8 (C, H, W) → uint8 (C, size, size).

    Raises:
        ConfigError: unknown name, or it needs a size and there is none.
    """
    return _build(_TRAIN, "train augmentation", name, size)


def eval_transform(name: str, size: int | None) -> v2.Transform:
    """An evaluation transform; the same in, the same out.

    Raises:
        ConfigError: unknown name, or it needs a size and there is none.
    """
    return _build(_EVAL, "evaluation transform", name, size)


def _build(registry: dict[str, Builder], kind: str, name: str, size: int | None) -> v2.Transform:
    if name not in registry:
        raise ConfigError([f"unknown {kind} {name!r}; {did_you_mean(name, registry)}"])
    return registry[name](size)
