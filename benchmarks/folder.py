"""The grid on a folder of JPEGs against the peers: `python -m benchmarks.folder --student mobilenetv3`.

JPEGs of 500 × 375, random crops of 96 pixels, 2 ResNet-26 teachers × 4 temperatures. Ours reads the files and runs its
teachers (*live*), reads decoded images and runs its teachers, and does what a second study finds: decoded images and
stored logits (*cached*). The floor trains as many students by a plain loop, on decoded images. The peers read the files
eight times, by their own data sets, loaders and crops. Settings, turns and ratios are those of `benchmarks.grid`.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.common import Result, compute_of
from benchmarks.decoding import SIZE, made_of, photographs
from benchmarks.grid import OURS, compare
from benchmarks.workload import folder_grid

# Models, and as many images as make about four minutes on two cores.
STUDENTS = {
    "mobilenetv3": ("timm:mobilenetv3_small_100", 128), "resnet8": ("resnet8", 128),
    "resnet18": ("torchvision:resnet18", 64),
}  # fmt: skip
CLASSES = 10


def run(student: str, images: int | None, repeats: int, side: int, batch: int) -> Result:
    """The table of one student; whole batches only, as timm's loader drops the rest."""
    model, usual = STUDENTS[student]
    wanted = usual if images is None else images
    count = max(batch, wanted - wanted % batch)
    columns = ["grid", "mode", "run", "setting", "seconds (median)", "range", "× the faster peer's speed"]
    title = f"2 × 4 cells on {count} JPEGs of {SIZE[0]} × {SIZE[1]}, {side}-pixel crops, batch {batch}, 1 epoch"
    result = Result(f"folder-{student}", title, columns)
    with tempfile.TemporaryDirectory(prefix="tosmooth-bench-") as folder:
        files = photographs(Path(folder), count, CLASSES)
        result.notes.append(f"{title}; JPEGs {made_of(files)}")
        for mode in OURS:
            compare(folder_grid(files, model, side, batch), mode, repeats, result, single=True)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--student", choices=list(STUDENTS), nargs="*", default=list(STUDENTS), help="default: all")
    parser.add_argument("--images", type=int, help="default: as many as make about four minutes on two cores")
    parser.add_argument("--repeats", type=int, default=3, help="default 3")
    parser.add_argument("--side", type=int, default=96, help="of the crop, pixels; default 96")
    parser.add_argument("--batch", type=int, default=32, help="images a step; default 32")
    options = parser.parse_args()
    for student in options.student:
        run(student, options.images, options.repeats, options.side, options.batch).finish(compute_of())


if __name__ == "__main__":
    main()
