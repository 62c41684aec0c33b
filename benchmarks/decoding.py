"""Images of a folder, decoded once or each time: how many a second the loader brings, in processor time.

JPEGs of 500 × 375, as photographs of ImageNet mostly are, made of smooth noise; both ways take turns.

    python -m benchmarks.decoding
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
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


def photographs(root: Path, count: int) -> FileSplit:
    """JPEGs at quality 90 with edges and gradients: they take about as long to decode as photographs of their size."""
    paths = []
    for number in range(count):
        noise = np.random.default_rng(number).integers(0, 256, (24, 32, 3), dtype=np.uint8)
        fine = np.random.default_rng(count + number).integers(-12, 13, (SIZE[1], SIZE[0], 1))
        large = np.asarray(Image.fromarray(noise).resize(SIZE, Image.Resampling.BICUBIC), dtype=np.int64)
        paths.append(root / f"{number}.jpg")
        Image.fromarray((large + fine).clip(0, 255).astype(np.uint8)).save(paths[-1], quality=90)
    return FileSplit(paths, [0] * count, root)


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
            f"processor time of one thread, no loader processes; filling takes {1000 * filling / arguments.images:.1f} "
            f"ms and {size / 1e6:.2f} MB an image"
        )
        result.finish(Compute.from_config(ComputeConfig(device="cpu")))


if __name__ == "__main__":
    main()
