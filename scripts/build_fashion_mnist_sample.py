"""Rebuild the embedded Fashion-MNIST sample from the whole set. Run again, it writes the same bytes.

    python scripts/build_fashion_mnist_sample.py /usr/share/datasets/fashion-mnist

The folder holds the four original .gz files; Debian's package `dataset-fashion-mnist` puts them there.
"""

from __future__ import annotations

import argparse
import lzma
from pathlib import Path

import numpy as np
import torch

from tosmooth.data.idx import read_idx
from tosmooth.data.splits import stratified_choice

SEED = 20220614
COUNTS = {"train": ("train", 12_000), "test": ("t10k", 5_000)}
TARGET = Path(__file__).parents[1] / "src" / "tosmooth" / "data" / "embedded"


def main() -> None:
    """Write both files of the sample."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="folder with the four original .gz files")
    parser.add_argument("--target", type=Path, default=TARGET, help="folder to write into (default: the package's)")
    arguments = parser.parse_args()
    source: Path = arguments.source
    for name, (prefix, count) in COUNTS.items():
        labels = read_idx(source / f"{prefix}-labels-idx1-ubyte.gz")
        images = read_idx(source / f"{prefix}-images-idx3-ubyte.gz")
        chosen = stratified_choice(torch.from_numpy(labels.astype(np.int64)), count, SEED).numpy()
        packed = lzma.compress(labels[chosen].tobytes() + images[chosen].tobytes(), preset=9 | lzma.PRESET_EXTREME)
        target = arguments.target / f"fashion_mnist_{name}.xz"
        target.write_bytes(packed)
        print(f"{target}: {count} images, {len(packed):,} bytes")


if __name__ == "__main__":
    main()
