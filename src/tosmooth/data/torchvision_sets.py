"""Fashion-MNIST, CIFAR-10 and CIFAR-100 through torchvision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torchvision import datasets

from tosmooth.data.base import RawImages, TensorSplit
from tosmooth.data.registry import SourceRequest, register_image_source
from tosmooth.errors import DataError

# The 20 super-classes of CIFAR-100 with their classes, as the data set's page lists them.
CIFAR100_SUPERCLASSES = {
    "aquatic mammals": ("beaver", "dolphin", "otter", "seal", "whale"),
    "fish": ("aquarium_fish", "flatfish", "ray", "shark", "trout"),
    "flowers": ("orchid", "poppy", "rose", "sunflower", "tulip"),
    "food containers": ("bottle", "bowl", "can", "cup", "plate"),
    "fruit and vegetables": ("apple", "mushroom", "orange", "pear", "sweet_pepper"),
    "household electrical devices": ("clock", "keyboard", "lamp", "telephone", "television"),
    "household furniture": ("bed", "chair", "couch", "table", "wardrobe"),
    "insects": ("bee", "beetle", "butterfly", "caterpillar", "cockroach"),
    "large carnivores": ("bear", "leopard", "lion", "tiger", "wolf"),
    "large man-made outdoor things": ("bridge", "castle", "house", "road", "skyscraper"),
    "large natural outdoor scenes": ("cloud", "forest", "mountain", "plain", "sea"),
    "large omnivores and herbivores": ("camel", "cattle", "chimpanzee", "elephant", "kangaroo"),
    "medium-sized mammals": ("fox", "porcupine", "possum", "raccoon", "skunk"),
    "non-insect invertebrates": ("crab", "lobster", "snail", "spider", "worm"),
    "people": ("baby", "boy", "girl", "man", "woman"),
    "reptiles": ("crocodile", "dinosaur", "lizard", "snake", "turtle"),
    "small mammals": ("hamster", "mouse", "rabbit", "shrew", "squirrel"),
    "trees": ("maple_tree", "oak_tree", "palm_tree", "pine_tree", "willow_tree"),
    "vehicles 1": ("bicycle", "bus", "motorcycle", "pickup_truck", "train"),
    "vehicles 2": ("lawn_mower", "rocket", "streetcar", "tank", "tractor"),
}


def _splits(
    name: str, build: Callable[..., Any], request: SourceRequest
) -> tuple[TensorSplit, TensorSplit, tuple[str, ...]]:
    request.no_options(name)
    root = request.need_path(name, "the folder torchvision keeps the data set in (data.download=true fetches it)")
    found = []
    for split in ("train", "test"):
        try:
            part = build(root=str(root), train=split == "train", download=request.download)
        except (RuntimeError, OSError, ValueError, KeyError, EOFError) as error:
            hint = "" if request.download else "; data.download=true fetches it"
            raise DataError(f"{root}: not a readable {name} in torchvision's layout{hint}: {error}") from None
        pixels = torch.as_tensor(np.asarray(part.data))
        images = pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2).contiguous()
        found.append(TensorSplit(images, torch.as_tensor(part.targets), split))
        classes = tuple(part.classes)
    return found[0], found[1], classes


@register_image_source("fashion_mnist")
def fashion_mnist(request: SourceRequest) -> RawImages:
    """The whole of Fashion-MNIST: 60,000 and 10,000 grey images of 28 × 28."""
    return RawImages(*_splits("fashion_mnist", datasets.FashionMNIST, request))


@register_image_source("cifar10")
def cifar10(request: SourceRequest) -> RawImages:
    """CIFAR-10: 50,000 and 10,000 images of 32 × 32."""
    return RawImages(*_splits("cifar10", datasets.CIFAR10, request))


@register_image_source("cifar100")
def cifar100(request: SourceRequest) -> RawImages:
    """CIFAR-100: 50,000 and 10,000 images of 32 × 32, with the 20 super-classes."""
    train, test, classes = _splits("cifar100", datasets.CIFAR100, request)
    of = {name: group for group, members in CIFAR100_SUPERCLASSES.items() for name in members}
    superclasses = tuple(of[name] for name in classes) if all(name in of for name in classes) else None
    return RawImages(train, test, classes, superclasses=superclasses)
