"""Learning curves of a finished study's whole grid, from its folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tosmooth.errors import StudyError
from tosmooth.study.advise import KEY, Setting
from tosmooth.study.learning_curves import read_curve, score_at
from tosmooth.study.results import load_study

FOLDER = re.compile(r"[A-Za-z0-9._+-]{1,255}")  # of cells, which are folders; results.csv may be anyone's


@dataclass(frozen=True)
class GridCurves:
    """What every student of a grid scored, had its training ended after each epoch.

    Attributes:
        settings: the candidates, ascending.
        unit: "seed", or "teacher_seed" where there are several teachers of an α.
        replicates: students of a setting, at most.
        scores: validation top-1 in percent, (settings, units, epochs); NaN where no student of that unit finished.
    """

    settings: tuple[Setting, ...]
    unit: str
    replicates: int
    scores: NDArray[np.float64]

    @property
    def epochs(self) -> int:
        """Of a full training."""
        return int(self.scores.shape[2])

    @property
    def units(self) -> int:
        """How many independent repetitions there are."""
        return int(self.scores.shape[1])


def read_grid_curves(path: Path) -> GridCurves:
    """The curves of all finished students of a study.

    Raises:
        StudyError: the folder is no study with results, chose its epochs on the test split, has fewer than two settings
            or no validation figures of every epoch, or a file is damaged.
    """
    study = load_study(path)
    selection = study.config.get("selection")
    if selection == "best_on_test":
        raise StudyError(f"{path} chose its epochs on the test split; a search chooses on validation only")
    done = study.cells[study.cells["status"] == "done"]
    unit = "teacher_seed" if "teacher_seed" in done and done["teacher_seed"].nunique() > 1 else "seed"
    remedy = "a replay needs the validation figures of every epoch (a study with data.validation above 0)"
    rows: list[tuple[Setting, Any, list[float]]] = []
    for row in done.to_dict(orient="records"):
        name = str(row["cell"])
        if not FOLDER.fullmatch(name) or not name.strip("."):
            raise StudyError(f"{path / 'results.csv'} is damaged: {name[:100]!r} is no name of a student")
        curve = read_curve(path / "students" / name / "metrics.jsonl", remedy)
        kept = "last" if selection == "last" else "best"
        setting: Setting = tuple(row[key] for key in KEY)  # type: ignore[assignment]
        rows.append((setting, row[unit], [score_at(curve, epoch, kept) for epoch in range(1, len(curve) + 1)]))
    return _stacked(path, rows, unit)


def _stacked(path: Path, rows: list[tuple[Setting, Any, list[float]]], unit: str) -> GridCurves:
    settings = sorted({setting for setting, _, _ in rows})
    if len(settings) < 2:
        raise StudyError(f"{path} has {len(settings)} finished settings; a search chooses between several")
    lengths = sorted({len(curve) for _, _, curve in rows})
    if len(lengths) > 1 or lengths == [0]:
        found = ", ".join(map(str, lengths))
        raise StudyError(f"{path}: its students must have been trained for one number of epochs, found {found}")
    units = sorted({own for _, own, _ in rows})
    sums, counts = np.zeros((len(settings), len(units), lengths[0])), np.zeros((len(settings), len(units), 1))
    for setting, own, curve in rows:
        at = settings.index(setting), units.index(own)
        sums[at] += curve
        counts[at] += 1
    with np.errstate(invalid="ignore"):  # 0 / 0 where none finished
        return GridCurves(tuple(settings), unit, int(counts.sum(axis=1).max()), sums / counts)
