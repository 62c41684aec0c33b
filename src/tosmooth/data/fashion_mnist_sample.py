"""The embedded sample of Fashion-MNIST: 12,000 training and 5,000 test images, no network needed."""

from __future__ import annotations

import lzma
from importlib import resources

import numpy as np
import torch

from tosmooth.data.base import RawImages, TensorSplit
from tosmooth.data.registry import SourceRequest, register_image_source

CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
SIDE = 28


def _read(name: str) -> TensorSplit:
    """One file: N label bytes, then N · 784 pixel bytes, xz; scripts/build_fashion_mnist_sample.py writes it."""
    packed = (resources.files("tosmooth.data") / "embedded" / f"fashion_mnist_{name}.xz").read_bytes()
    values = np.frombuffer(lzma.decompress(packed), dtype=np.uint8).copy()
    count = len(values) // (SIDE * SIDE + 1)
    images = values[count:].reshape(count, 1, SIDE, SIDE)
    return TensorSplit(torch.from_numpy(images), torch.from_numpy(values[:count].astype(np.int64)), name)


@register_image_source("fashion_mnist_sample")
def fashion_mnist_sample(request: SourceRequest) -> RawImages:
    """The embedded sample; takes no path."""
    request.no_options("fashion_mnist_sample")
    return RawImages(train=_read("train"), test=_read("test"), classes=CLASSES)
