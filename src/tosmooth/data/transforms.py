"""The transforms behind the names in `augmentation`, which imports this module when one is built: torchvision takes a
second to import."""

from __future__ import annotations

from collections.abc import Callable

from torchvision.transforms import v2

from tosmooth.data.augmentation import side_before_crop


def crop_flip(side: int) -> v2.Transform:
    """Shift by up to 4 pixels (zero padding), flip: the usual recipe of CIFAR."""
    return v2.Compose([v2.RandomCrop(side, padding=4), v2.RandomHorizontalFlip()])


def gentle_crop(side: int) -> v2.Transform:
    """Random resized crop of at least half of the area, flip: for images in which the object fills the picture."""
    return v2.Compose([v2.RandomResizedCrop(side, scale=(0.5, 1.0), antialias=True), v2.RandomHorizontalFlip()])


def imagenet(side: int) -> v2.Transform:
    """The paper's for ImageNet-1K: random resized crop, flip."""
    return v2.Compose([v2.RandomResizedCrop(side, antialias=True), v2.RandomHorizontalFlip()])


def cub(side: int) -> v2.Transform:
    """The paper's for CUB-200-2011: gentler crop, flip, rotation, grayscale, jitter of brightness and contrast."""
    return v2.Compose(
        [
            v2.RandomResizedCrop(side, scale=(0.2, 1.0), ratio=(0.8, 1.25), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.RandomRotation(45, interpolation=v2.InterpolationMode.BILINEAR),
            v2.RandomGrayscale(0.2),
            # The authors' scripts leave saturation and hue alone.
            v2.ColorJitter(brightness=0.2, contrast=0.2),
        ]
    )


def resize_center_crop(side: int) -> v2.Transform:
    """Shorter side to 256/224 of the crop, centre crop: the paper's evaluation."""
    return _center_crop("resize_center_crop", side)


def whole_center_crop(side: int) -> v2.Transform:
    """Shorter side to the crop's, centre crop: of a square image all of it, for objects that fill the picture."""
    return _center_crop("whole_center_crop", side)


def _center_crop(name: str, side: int) -> v2.Transform:
    return v2.Compose([v2.Resize(side_before_crop(name, side), antialias=True), v2.CenterCrop(side)])


_SIZED: dict[str, Callable[[int], v2.Transform]] = {
    "crop_flip": crop_flip, "gentle_crop": gentle_crop, "imagenet": imagenet, "cub": cub,
    "resize_center_crop": resize_center_crop, "whole_center_crop": whole_center_crop,
}  # fmt: skip


def build(name: str, side: int | None) -> v2.Transform:
    """The transform of a checked name; `side` of its crop in pixels, which all but `flip` take."""
    if name == "flip":
        return v2.RandomHorizontalFlip()
    assert side is not None
    return _SIZED[name](side)


def further(policy: str, magnitude: int, erasing: float) -> list[v2.Transform]:
    """What follows the crop: RandAugment (Cubuk et al., 2020) or TrivialAugment (Müller and Hutter, 2021, the wide
    range), and random erasing (Zhong et al., 2020). They draw from PyTorch's generator alone, as all others here.

    Args:
        policy: "randaugment", "trivialaugment" or "none".
        magnitude: of RandAugment, 0 to 30.
        erasing: probability of a black rectangle.
    """
    found: list[v2.Transform] = []
    if policy == "randaugment":
        found.append(v2.RandAugment(num_ops=2, magnitude=magnitude))
    elif policy == "trivialaugment":
        found.append(v2.TrivialAugmentWide())
    if erasing:
        found.append(v2.RandomErasing(p=erasing))
    return found
