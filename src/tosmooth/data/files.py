"""A split of image files, read when asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms

from tosmooth.data.base import ImageSplit
from tosmooth.errors import DataError

# What Pillow reads and image data sets hold; other files in a class folder (notes, thumbnails' indices) are not images.
EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})


def to_rgb(image: Image.Image) -> Tensor:
    """A decoded image as uint8 (3, H, W)."""
    pixels: Tensor = transforms.pil_to_tensor(image.convert("RGB"))
    return pixels


class FileSplit(ImageSplit):
    """Image files with their labels; every image comes out as RGB, uint8 (3, H, W).

    Args:
        paths: of the images.
        labels: class index of each.
    """

    def __init__(self, paths: Sequence[Path], labels: Sequence[int]) -> None:
        self.paths = list(paths)
        self.labels = torch.tensor(labels, dtype=torch.int64)

    def __getitem__(self, index: int) -> Tensor:
        path = self.paths[index]
        try:
            with Image.open(path) as image:
                return to_rgb(image)
        except FileNotFoundError:
            raise DataError(f"{path}: no such image") from None
        except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
            raise DataError(f"{path}: not readable as an image (damaged or truncated?): {error}") from None

    def describe(self, index: int) -> str:
        """The file's path."""
        return str(self.paths[index])
