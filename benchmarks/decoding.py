"""Images of a folder, decoded each time, decoded once, or stored as views: how many a second the loader brings, in
processor time.

JPEGs of 500 × 375, as photographs of ImageNet mostly are; all ways take turns. They are pieces of the photographs of
Debian's package `mate-backgrounds` where it is installed, else smooth noise. Stored views are a limited number of the
training augmentation's (`cache`); the evaluation transform has none.

    python -m benchmarks.decoding
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.common import Result
from tosmooth.config.schema import ComputeConfig, DataConfig
from tosmooth.data.augmented import ViewPixels
from tosmooth.data.base import Subset
from tosmooth.data.batches import Batches
from tosmooth.data.files import FileSplit
from tosmooth.data.pipeline import ImagePipeline
from tosmooth.data.pixel_store import PixelStore, Stamp
from tosmooth.data.views import EachView, StoredViews
from tosmooth.errors import DataError
from tosmooth.training.compute import Compute

SIZE = (500, 375)
PHOTOGRAPHS = Path("/usr/share/backgrounds/mate/nature")  # of the package
VIEWS = EachView(4, 0)  # as they are stored, and as students see them
SHOWN = StoredViews(VIEWS.count, VIEWS.view_seed, 0)


def photographs(root: Path, count: int, classes: int = 1) -> FileSplit:
    """JPEGs at quality 90, in a folder for each class."""
    paths, labels = [], [number % classes for number in range(count)]
    for number, picture in enumerate(_pieces(count) if PHOTOGRAPHS.is_dir() else _generated(count)):
        paths.append(root / str(labels[number]) / f"{number}.jpg")
        paths[-1].parent.mkdir(exist_ok=True)
        picture.save(paths[-1], quality=90)
    return FileSplit(paths, labels, root)


def made_of(files: FileSplit) -> str:
    """What they are made of, and how large they are, for notes."""
    size = sum(path.stat().st_size for path in files.paths) / len(files) / 1000
    what = "pieces of photographs (mate-backgrounds)" if PHOTOGRAPHS.is_dir() else "made of smooth noise"
    return f"{what}, {size:.0f} kB each"


def _pieces(count: int) -> Iterator[Image.Image]:
    """Pieces of photographs, of any size that is not enlarged."""
    whole = [Image.open(path).convert("RGB") for path in sorted(PHOTOGRAPHS.glob("*.jpg"))]
    whole = [photograph for photograph in whole if photograph.width >= SIZE[0] and photograph.height >= SIZE[1]]
    for number in range(count):
        photograph, random = whole[number % len(whole)], np.random.default_rng(number)
        scale = random.uniform(1, min(photograph.width / SIZE[0], photograph.height / SIZE[1]))
        width, height = round(scale * SIZE[0]), round(scale * SIZE[1])
        left = int(random.integers(0, photograph.width - width, endpoint=True))
        top = int(random.integers(0, photograph.height - height, endpoint=True))
        yield photograph.resize(SIZE, Image.Resampling.LANCZOS, (left, top, left + width, top + height))


def _generated(count: int) -> Iterator[Image.Image]:
    """Edges and gradients: they take about as long to decode as photographs of their size."""
    for number in range(count):
        noise = np.random.default_rng(number).integers(0, 256, (24, 32, 3), dtype=np.uint8)
        fine = np.random.default_rng(count + number).integers(-12, 13, (SIZE[1], SIZE[0], 1))
        large = np.asarray(Image.fromarray(noise).resize(SIZE, Image.Resampling.BICUBIC), dtype=np.int64)
        yield Image.fromarray((large + fine).clip(0, 255).astype(np.uint8))


def of_files(files: FileSplit) -> FileSplit:
    """The same files, with nothing stored of them."""
    return FileSplit(files.paths, files.labels.tolist(), files.root)


def decoded_once(files: FileSplit, folder: Path) -> tuple[FileSplit, float]:
    """The same files with their pixels in a store, and the processor seconds that filling it takes."""
    places, other = torch.arange(len(files)), of_files(files)
    stamp = Stamp(Subset(files, places).digest(with_times=True), "", len(files))
    other.pixels = PixelStore(folder, stamp, places, off="")
    files[0]  # imports
    return other, filling(other.pixels, (files[place] for place in range(len(files))))


def with_views(files: FileSplit, pipeline: ImagePipeline, folder: Path) -> tuple[FileSplit, float]:
    """The same files with their views in a store, and the processor seconds that filling it takes."""
    images, other = pipeline.all_views(files, VIEWS), of_files(files)
    store = PixelStore(folder, Stamp(files.digest(with_times=True), "", len(images)), off="")
    seconds = filling(store, chain.from_iterable(images[request] for request in images.requests(0, len(images))))
    other.stored = ViewPixels(store, VIEWS)
    return other, seconds


def filling(store: PixelStore, images: Iterator[Tensor | DataError]) -> float:
    """Processor time of filling a store."""
    started = time.process_time()
    with store.filling():
        for number in store.missing:
            store.write(number, images)
    return time.process_time() - started


def size_of(folder: Path) -> int:
    """Bytes of a store's pixels."""
    return sum(path.stat().st_size for path in folder.glob("*.bin"))


def seconds(batches: Batches, epoch: int) -> float:
    """Processor time of an epoch's batches."""
    started = time.process_time()
    for _ in batches.epoch(epoch):
        pass
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--side", type=int, default=96, help="of the crop, pixels")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    result = Result(
        "decoding",
        f"Images of a folder, JPEGs of {SIZE[0]} × {SIZE[1]}, {arguments.side}-pixel crops",
        ["views", "from files, images/s", "decoded once, images/s", "ratio", "range",
         "stored views, images/s", "their ratio", "their range"],
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        root, count = Path(folder), arguments.images
        (root / "images").mkdir()
        files = photographs(root / "images", count)
        once, decoding = decoded_once(files, root / "store")
        making = []
        for name in ("gentle_crop", "imagenet", "evaluation"):
            augmentation = "none" if name == "evaluation" else name
            config = DataConfig(
                train_augmentation=augmentation, eval_transform="resize_center_crop", image_size=arguments.side
            )
            pipeline = ImagePipeline(config, torch.device("cpu"))
            splits = [files, once]
            if name != "evaluation":
                viewed, took = with_views(files, pipeline, root / name)
                splits, making = [*splits, viewed], [*making, took / VIEWS.count]
            ways = [
                pipeline.evaluation(split, batch_size=64)
                if name == "evaluation"
                else pipeline.training(split, batch_size=64, seed=0, views=SHOWN)
                for split in splits
            ]
            for batches in ways:
                seconds(batches, 0)  # warm: pages, imports
            times = [[seconds(batches, epoch) for batches in ways] for epoch in range(1, arguments.repeats + 1)]
            rates = [round(count / statistics.median(column)) for column in zip(*times, strict=True)]
            row: list[Any] = [name, rates[0]]
            for way, rate in enumerate(rates[1:], 1):
                ratios = [turn[0] / turn[way] for turn in times]
                row += [rate, statistics.median(ratios), f"{min(ratios):.2f} – {max(ratios):.2f}"]
            result.add(*row, *["–"] * (len(result.columns) - len(row)))
        megabytes = size_of(root / "store") / count / 1e6
        of_view = size_of(root / "imagenet") / count / VIEWS.count / 1e6
        result.notes.append(
            f"processor time of one thread, no loader processes; JPEGs {made_of(files)}; filling takes "
            f"{1000 * decoding / count:.1f} ms and {megabytes:.2f} MB an image, of each of {VIEWS.count} views "
            f"{1000 * statistics.mean(making) / count:.1f} ms and {of_view:.3f} MB, decoding included"
        )
        result.finish(Compute.from_config(ComputeConfig(device="cpu")))


if __name__ == "__main__":
    main()
