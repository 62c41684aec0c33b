"""A split of image files, read when asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from tosmooth.data.base import ImageSplit
from tosmooth.errors import DataError

# What Pillow reads and image data sets hold; other files in a class folder (notes, thumbnails' indices) are not images.
EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})

# What Pillow raises on files that are damaged, truncated, or no images (each decoder in its own way).
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, IndexError, Image.DecompressionBombError)


def to_rgb(image: Image.Image) -> Tensor:
    """A decoded image as uint8 (3, H, W).

    Raises:
        ValueError: more than 8 bits a channel, which a conversion would clip to white without a word.
    """
    if image.mode.startswith(("I", "F")):
        raise ValueError(f"pixels of mode {image.mode} (more than 8 bits); convert it to 8 bits a channel")
    from torchvision.transforms.v2 import functional  # more than a second to import: only image files need it

    pixels: Tensor = functional.pil_to_tensor(image.convert("RGB"))
    return pixels


class FileSplit(ImageSplit):
    """Image files with their labels; every image comes out as RGB, uint8 (3, H, W).

    Args:
        paths: of the images.
        labels: class index of each.
        root: folder of the data set; the fingerprint takes names relative to it, so that a moved set is the same set.
    """

    def __init__(self, paths: Sequence[Path], labels: Sequence[int], root: Path) -> None:
        self.paths = list(paths)
        self.root = root
        self.labels = torch.tensor(labels, dtype=torch.int64)

    def __getitem__(self, index: int) -> Tensor:
        path = self.paths[index]
        try:
            with Image.open(path) as image:
                return to_rgb(image)
        except FileNotFoundError:
            raise DataError(f"{path}: no such image") from None
        except UNREADABLE as error:
            raise DataError(f"{path}: not readable as an image (damaged or truncated?): {error}") from None

    def describe(self, index: int) -> str:
        """The file's path."""
        return str(self.paths[index])

    def digest(self, *, with_times: bool = False) -> str:
        """A hash of labels, names and sizes: reading every image would take longer than training on it.

        Raises:
            DataError: a file is missing.
        """
        found = hashlib.sha256(self.labels.numpy().tobytes())
        for path in self.paths:
            try:
                state = path.stat()
            except OSError:
                raise DataError(f"{path}: no such image") from None
            found.update(f"{path.relative_to(self.root).as_posix()}\0{state.st_size}\0".encode())
            if with_times:
                found.update(f"{state.st_mtime_ns}\0".encode())
        return found.hexdigest()
