"""Fashion-MNIST, CIFAR-10 and CIFAR-100 through torchvision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from tosmooth.data.base import RawImages, TensorSplit
from tosmooth.data.idx import read_idx
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

_IDX_FILES = tuple(f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))


def _splits(name: str, kind: str, request: SourceRequest) -> tuple[TensorSplit, TensorSplit, tuple[str, ...]]:
    from torchvision import datasets  # more than a second to import: only these sets pay

    request.no_options(name)
    build = getattr(datasets, kind)
    root = request.need_path(name, "the folder torchvision keeps the data set in (data.download=true fetches it)")
    found = []
    for split in ("train", "test"):
        try:
            part = build(root=str(root), train=split == "train", download=request.download)
        except (RuntimeError, OSError, ValueError, KeyError, EOFError, TypeError) as error:
            hint = "" if request.download else "; data.download=true fetches it"
            raise DataError(f"{root}: not a readable {name} in torchvision's layout{hint}: {error}") from None
        pixels = torch.as_tensor(np.asarray(part.data))
        images = pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2).contiguous()
        found.append(TensorSplit(images, torch.as_tensor(part.targets), split))
        classes = tuple(part.classes)
    return found[0], found[1], classes


@register_image_source("fashion_mnist")
def fashion_mnist(request: SourceRequest) -> RawImages:
    """The whole of Fashion-MNIST: 60,000 and 10,000 grey images of 28 × 28.

    In torchvision's layout, or a folder with the four published .gz files (Debian's package dataset-fashion-mnist puts
    them into /usr/share/datasets/fashion-mnist).
    """
    folder = _gzipped_folder(request)
    if folder is None:
        return RawImages(*_splits("fashion_mnist", "FashionMNIST", request))
    from torchvision import datasets

    request.no_options("fashion_mnist")
    train, test = (_read_gzipped(folder, prefix, name) for prefix, name in (("train", "train"), ("t10k", "test")))
    return RawImages(train, test, tuple(datasets.FashionMNIST.classes))


def _gzipped_folder(request: SourceRequest) -> Path | None:
    """Where the published files lie unpacked by nobody; torchvision reads only what it has unpacked itself."""
    if request.path is None:
        return None
    root = request.path.expanduser()
    raw = root / "FashionMNIST" / "raw"
    unpacked = all((raw / name).is_file() for name in _IDX_FILES)
    # With download on, torchvision checks what lies in its own folder, and fetches again what is damaged.
    folders = [root] if unpacked or request.download else [root, raw]
    return next((f for f in folders if all((f / f"{name}.gz").is_file() for name in _IDX_FILES)), None)


def _read_gzipped(folder: Path, prefix: str, name: str) -> TensorSplit:
    images = read_idx(folder / f"{prefix}-images-idx3-ubyte.gz")
    labels = read_idx(folder / f"{prefix}-labels-idx1-ubyte.gz")
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise DataError(f"{folder}: {prefix} images {images.shape} and labels {labels.shape} do not belong together")
    return TensorSplit(torch.from_numpy(images.copy())[:, None], torch.from_numpy(labels.astype(np.int64)), name)


@register_image_source("cifar10")
def cifar10(request: SourceRequest) -> RawImages:
    """CIFAR-10: 50,000 and 10,000 images of 32 × 32."""
    return RawImages(*_splits("cifar10", "CIFAR10", request))


@register_image_source("cifar100")
def cifar100(request: SourceRequest) -> RawImages:
    """CIFAR-100: 50,000 and 10,000 images of 32 × 32, with the 20 super-classes."""
    train, test, classes = _splits("cifar100", "CIFAR100", request)
    of = {name: group for group, members in CIFAR100_SUPERCLASSES.items() for name in members}
    superclasses = tuple(of[name] for name in classes) if all(name in of for name in classes) else None
    return RawImages(train, test, classes, superclasses=superclasses)
