"""The figures that the documentation shows, from the report of a finished study.

    tosmooth study && python -m scripts.docs_site.figures runs/fashion-mnist

The report's own PNG files, which are made for print, become small ones under `docs/images/`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

IMAGES = Path(__file__).parents[2] / "docs" / "images"
SHOWN = {"accuracy": 900, "diffusion": 900, "projection": 1300}  # name → width in pixels
COLOURS = 128  # a palette keeps them small; the charts have a dozen colours and their blends


def shrunk(source: Path, target: Path, width: int) -> None:
    """Write a PNG again, at most `width` pixels wide, with a palette."""
    with Image.open(source) as image:
        picture = image.convert("RGB")
    height = round(picture.height * width / picture.width)
    if width < picture.width:
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(target, optimize=True)


def main(study: Path) -> None:
    """Take the figures of a study's report."""
    for name, width in SHOWN.items():
        shrunk(study / "figures" / f"{name}.png", IMAGES / f"{name}.png", width)
        print(f"{IMAGES / name}.png")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m scripts.docs_site.figures STUDY, for example runs/fashion-mnist")
    main(Path(sys.argv[1]))
