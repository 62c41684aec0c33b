"""Learning curves of a finished study's whole grid, from its folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tosmooth.advice.comparisons import KEY, scores_by_seed
from tosmooth.advice.units import Setting, unit_word
from tosmooth.errors import StudyError
from tosmooth.folder.curves import read_curve
from tosmooth.folder.paths import CURVE_FILE, StudyDirectory
from tosmooth.folder.results import load_study
from tosmooth.search.learning_curves import score_at
from tosmooth.tasks.base import Absent
from tosmooth.tasks.find import traits_of
from tosmooth.tasks.metric import Metric
from tosmooth.terminal import shown
from tosmooth.untrusted import is_folder_name

REMEDY = "a replay needs the validation figures of every epoch (a study with data.validation above 0)"


@dataclass(frozen=True)
class GridCurves:
    """What every student of a grid scored, had its training ended after each epoch.

    Attributes:
        settings: the candidates, ascending.
        unit: "seed", or "teacher seed" where there are several.
        metric: what students were judged by after each epoch.
        replicates: students of a setting, at most.
        scores: validation figures of the metric, (settings, units, epochs); NaN where no student of a unit finished.
    """

    settings: tuple[Setting, ...]
    unit: str
    metric: Metric
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
            or no validation figures of every epoch, its task is not installed, or a file is damaged.
    """
    study, directory = load_study(path), StudyDirectory(path)
    selection = study.config.get("selection")
    if selection == "best_on_test":
        raise StudyError(f"{path} chose its epochs on the test split; a search chooses on validation only")
    done = study.cells[study.cells["status"] == "done"]
    traits = traits_of(study.config.get("task"), study.advice)
    if isinstance(traits, Absent):
        raise StudyError(
            f"{path}: its task, {shown(traits.name)}, is not installed here, and nobody else knows what its students "
            "were judged by after each epoch"
        )
    metric = traits.metric.judged_by
    kept = "last" if selection == "last" or (done["selection"] == "last").any() else "best"  # auto, as it was resolved
    scores = []
    for name in map(str, done["cell"]):
        if not is_folder_name(name):
            raise StudyError(f"{directory.results} is damaged: {name[:100]!r} is no name of a student")
        curve = read_curve(directory.student(name) / CURVE_FILE, REMEDY, metric.val)
        scores.append(
            [score_at(curve, epoch, kept, lower_is_better=metric.lower_is_better) for epoch in range(1, len(curve) + 1)]
        )
    lengths = sorted({len(curve) for curve in scores})
    if len(lengths) > 1 or lengths == [0]:
        found = ", ".join(map(str, lengths))
        raise StudyError(f"{path}: its students must have been trained for one number of epochs, found {found}")
    if len(done.drop_duplicates(KEY)) < 2:
        raise StudyError(f"{path} has fewer than two finished settings; a search chooses between several")
    tables = [scores_by_seed(done.assign(score=own), "score") for own in zip(*scores, strict=True)]
    replicates = int(done.groupby(KEY).size().max())
    stacked = np.stack([table.to_numpy(dtype=float) for table in tables], axis=2)
    return GridCurves(tuple(tables[0].index), unit_word(done), metric, replicates, stacked)
