"""The embedded sample of Fashion-MNIST: 12,000 training and 5,000 test images, no network needed."""

from __future__ import annotations

import lzma
from functools import cache
from importlib import resources

import numpy as np
import torch

from tosmooth.data.base import RawImages, TensorSplit
from tosmooth.data.registry import SourceRequest, register_image_source
from tosmooth.errors import DataError

CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
SIDE = 28
COUNTS = {"train": 12_000, "test": 5_000}


@cache
def _values(name: str) -> bytes:
    """One file: N label bytes, then N · 784 pixel bytes, xz; scripts/build_fashion_mnist_sample.py writes it.

    Of PNG sprite, zipped numpy and xz, xz is the smallest, and read in half a second: once a process.
    """
    file = resources.files("tosmooth.data") / "embedded" / f"fashion_mnist_{name}.xz"
    count = COUNTS[name]
    try:
        values = lzma.decompress(file.read_bytes())
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise DataError(f"{file}: the embedded sample is not readable; install tosmooth again: {error}") from None
    if len(values) != count * (SIDE * SIDE + 1):
        raise DataError(f"{file}: the embedded sample does not hold {count:,} images; install tosmooth again")
    return values


def _split(name: str) -> TensorSplit:
    count, values = COUNTS[name], np.frombuffer(bytearray(_values(name)), dtype=np.uint8)  # of one's own, to write into
    images = values[count:].reshape(count, 1, SIDE, SIDE)
    return TensorSplit(torch.from_numpy(images), torch.from_numpy(values[:count].astype(np.int64)), name)


@register_image_source("fashion_mnist_sample")
def fashion_mnist_sample(request: SourceRequest) -> RawImages:
    """The embedded sample; takes no path.

    Raises:
        DataError: a path was given: nothing would be read from it, and another source was surely meant.
    """
    request.no_options("fashion_mnist_sample")
    if request.path is not None:
        raise DataError(
            f"data.path: {request.path} would not be read: the source 'fashion_mnist_sample' comes with the package; "
            "set data.source to the one that reads the path, for example folder or fashion_mnist"
        )
    return RawImages(train=_split("train"), test=_split("test"), classes=CLASSES)
