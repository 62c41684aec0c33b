"""What a limited number of stored views costs in accuracy: `python -m benchmarks.views`.

The default recipe's data and models under shifted crops and flips (162 outcomes an image), one smoothed teacher,
students at T = 1 and 3 for eight epochs. For V stored views of each image against fresh views of a live teacher: the
difference in validation top-1 with its 95 % interval over seeds, paired by seed and temperature. With as many views as
epochs, none is shown twice.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from rich.console import Console

from benchmarks.common import Result, arguments, compute_of
from tosmooth.analysis.inference import t_interval
from tosmooth.recipes.reading import load_config
from tosmooth.study.context import Context
from tosmooth.study.progress import StudyProgress
from tosmooth.study.stages import train_grid

TEMPERATURES = (1, 3)


def validation_accuracy(
    root: Path, views: str, seeds: int, epochs: int, weights: Path | None
) -> tuple[np.ndarray, Path]:
    """Top-1 of (seed, T), and the teacher's weights."""
    overrides = [
        f"name=views-{views}", f"cache={views}", "data.train_augmentation=crop_flip", "data.image_size=28",
        "teacher.label_smoothing=[0.1]", f"student.temperatures={list(TEMPERATURES)}", f"student.epochs={epochs}",
        f"student.seeds={list(range(seeds))}", "selection=last", "student.learning_rates=[1]",
        "student.optimizer.learning_rate=0.1",
    ]  # fmt: skip
    if weights is not None:
        overrides += ["teacher.train=false", f"teacher.checkpoints={{0.1: {weights}}}"]
    config = load_config("fashion-mnist", overrides)
    with Context.open(config, root, StudyProgress(Console(quiet=True))) as context:
        train_grid(context)
    found = [[(context.read_record(cell) or {})["val/top1"] for cell in group] for group in context.plan.groups]
    return np.array(found), context.folder(context.plan.teachers[0]) / "model.safetensors"


def main() -> None:
    options = arguments(__doc__ or "", seeds=4, epochs=8)
    title = f"Validation top-1 with V stored views, {options.epochs} epochs, {options.seeds} seeds, T = 1 and 3"
    result = Result("views", title, ["views", "top-1, %", "difference to fresh views", "95 % interval"])
    with tempfile.TemporaryDirectory(prefix="tosmooth-views-") as folder:
        live, weights = validation_accuracy(Path(folder), "off", options.seeds, options.epochs, None)
        result.add("fresh (cache: off)", round(live.mean(), 2), None, None)
        for views in (1, 2, 4):
            stored, _ = validation_accuracy(Path(folder), str(views), options.seeds, options.epochs, weights)
            interval = t_interval((stored - live).mean(axis=1))
            shown = f"{interval.low:+.2f} to {interval.high:+.2f}"
            result.add(f"{views}", round(stored.mean(), 2), f"{interval.mean:+.2f}", shown)
    result.finish(compute_of())


if __name__ == "__main__":
    main()
