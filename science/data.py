"""Make the data of the studies that tosmooth does not ship: `python -m science.data digits|emoji`.

Digits come out of the scikit-learn package (extra `science`); emoji are fetched by `scripts/fetch_emoji.py`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parent
DATA = ROOT / "data"


def write_digits(folder: Path, seed: int = 0) -> None:
    """The 1,797 digits as PNG files: 1,078 to train, 359 to select, 360 to test, stratified."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    images, labels = np.round(digits.images * (255 / 16)).astype(np.uint8), digits.target
    index = np.arange(len(labels))
    rest, test = train_test_split(index, test_size=360, stratify=labels, random_state=seed)
    train, val = train_test_split(rest, test_size=359, stratify=labels[rest], random_state=seed)
    for name, part in (("train", train), ("val", val), ("test", test)):
        for i in part:
            path = folder / name / str(labels[i]) / f"{i:04d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(images[i]).save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=["digits", "emoji"])
    name = parser.parse_args().name
    folder = DATA / name
    if folder.exists():
        print(f"{folder} is there already")
    elif name == "digits":
        write_digits(folder)
    else:
        subprocess.run(
            [sys.executable, ROOT.parent / "scripts" / "fetch_emoji.py", folder, "--pixels", "32"], check=True
        )
    print(f"{folder} is ready")


if __name__ == "__main__":
    main()
