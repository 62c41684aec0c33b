"""Real image files, made on the spot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def write_image(path: Path, *, size: tuple[int, int] = (40, 32), seed: int = 0, mode: str = "RGB") -> Path:
    """A noisy image of (width, height); the format follows the file's ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = {"RGB": (3,), "L": (), "RGBA": (4,)}[mode]
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], *channels), dtype=np.uint8)
    Image.fromarray(pixels, mode).save(path)
    return path


def write_folder(
    root: Path, *, classes: tuple[str, ...] = ("cat", "dog"), splits: dict[str, int] | None = None
) -> Path:
    """`<split>/<class>/<n>.png` with the given number of images a class."""
    for split, count in (splits or {"train": 6, "val": 2}).items():
        for c, name in enumerate(classes):
            for i in range(count):
                write_image(root / split / name / f"{i}.png", seed=100 * c + i)
    return root


def write_cub(root: Path) -> Path:
    """Four species, five training and two test images each, in the layout of CUB-200-2011."""
    names = ["001.Black_footed_Albatross", "002.Laysan_Albatross", "003.Hooded_Warbler", "004.Pine_Warbler"]
    lines: dict[str, list[str]] = {"images": [], "image_class_labels": [], "train_test_split": []}
    number = 0
    for c, name in enumerate(names, start=1):
        for i in range(7):
            number += 1
            write_image(root / "images" / name / f"{i}.jpg", seed=number)
            lines["images"].append(f"{number} {name}/{i}.jpg")
            lines["image_class_labels"].append(f"{number} {c}")
            lines["train_test_split"].append(f"{number} {int(i < 5)}")
    lines["classes"] = [f"{c} {name}" for c, name in enumerate(names, start=1)]
    for file, text in lines.items():
        (root / f"{file}.txt").write_text("\n".join(text) + "\n", encoding="utf-8")
    return root


def write_imagenet(root: Path, *, train: int = 4, val: int = 2) -> Path:
    """Three synsets in the layout of ImageNet-1K: `train/n01440764/n01440764_0.JPEG`, `val/…`."""
    for c, name in enumerate(("n01440764", "n01443537", "n02084071")):
        for split, count in (("train", train), ("val", val)):
            for i in range(count):
                write_image(root / split / name / f"{name}_{i}.JPEG", seed=100 * c + 10 * (split == "val") + i)
    return root
