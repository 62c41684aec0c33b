"""Images of a folder, decoded once or each time: how many a second the loader brings, in processor time.

JPEGs of 500 × 375, as photographs of ImageNet mostly are; both ways take turns. They are pieces of the photographs of
Debian's package `mate-backgrounds` where it is installed, else smooth noise.

    python -m benchmarks.decoding
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.common import Result
from tosmooth.config.schema import ComputeConfig, DataConfig
from tosmooth.data.base import Subset
from tosmooth.data.batches import Batches
from tosmooth.data.decoded import DecodedImages, Stamp
from tosmooth.data.files import FileSplit
from tosmooth.data.pipeline import ImagePipeline
from tosmooth.training.compute import Compute

SIZE = (500, 375)
PHOTOGRAPHS = Path("/usr/share/backgrounds/mate/nature")  # of the package


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


def stored(files: FileSplit, folder: Path) -> tuple[FileSplit, float]:
    """The same files with their pixels in a store, and the processor seconds that filling it takes."""
    places = torch.arange(len(files))
    store = DecodedImages(folder, Stamp(Subset(files, places).digest(with_times=True), "", len(files)), places)
    files[0]  # imports
    started = time.process_time()
    with store.filling():
        for number in store.missing:
            store.write(number, (files[place] for place in store.places_of(number)))
    seconds = time.process_time() - started
    other = FileSplit(files.paths, files.labels.tolist(), files.root)
    other.pixels = store
    return other, seconds


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
        ["views", "from files, images/s", "decoded once, images/s", "ratio", "range"],
    )
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "images").mkdir()
        files = photographs(Path(folder, "images"), arguments.images)
        once, filling = stored(files, Path(folder, "store"))
        for name in ("gentle_crop", "imagenet", "evaluation"):
            augmentation = "none" if name == "evaluation" else name
            config = DataConfig(
                train_augmentation=augmentation, eval_transform="resize_center_crop", image_size=arguments.side
            )
            pipeline = ImagePipeline(config, torch.device("cpu"))
            both = [
                pipeline.evaluation(split, batch_size=64)
                if name == "evaluation"
                else pipeline.training(split, batch_size=64, seed=0)
                for split in (files, once)
            ]
            for batches in both:
                seconds(batches, 0)  # warm: pages, imports
            times = [[seconds(batches, epoch) for batches in both] for epoch in range(1, arguments.repeats + 1)]
            plain, stored_ = (statistics.median(column) for column in zip(*times, strict=True))
            ratios = [a / b for a, b in times]
            count = arguments.images
            low_high = f"{min(ratios):.2f} – {max(ratios):.2f}"
            result.add(name, round(count / plain), round(count / stored_), statistics.median(ratios), low_high)
        size = sum(path.stat().st_size for path in Path(folder, "store").glob("*.bin")) / arguments.images
        result.notes.append(
            f"processor time of one thread, no loader processes; JPEGs {made_of(files)}; filling takes "
            f"{1000 * filling / arguments.images:.1f} ms and {size / 1e6:.2f} MB an image"
        )
        result.finish(Compute.from_config(ComputeConfig(device="cpu")))


if __name__ == "__main__":
    main()
