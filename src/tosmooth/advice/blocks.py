"""The scores of a student model as blocks × settings, controls beside them, and the comparison that they allow.

A block is a seed, or a teacher seed where there are several (`units`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tosmooth.advice.comparisons import CONTROL, KEY, compared, scores_by_seed
from tosmooth.advice.units import Setting, unit_of
from tosmooth.analysis.crossed import image_variances
from tosmooth.analysis.multiple_comparison import Comparison
from tosmooth.tasks.metric import Metric

Correct = Mapping[str, NDArray[np.int8]]  # by student: (n,) 1 right, 0 wrong, −1 not judged, on the split


def controls_of(controls: pd.DataFrame, student: str) -> pd.DataFrame:
    """The finished students of a model that have no teacher; an empty table where there are none."""
    if controls.empty:
        return controls
    return controls[(controls.student == student) & (controls.status == "done")]


class Blocks:
    """One student model on one split.

    Args:
        done: its finished students of the grid, as in `results.csv`.
        controls: its finished students without a teacher, as in `controls.csv`; may be empty.
        column: of the metric on the split.
        metric: what is compared.
        margin: points that do not matter.
        correct: which samples each student got right; without some of them, the samples count as fixed.
        confidence: of comparisons.
    """

    def __init__(
        self,
        done: pd.DataFrame,
        controls: pd.DataFrame,
        column: str,
        metric: Metric,
        margin: float,
        correct: Correct | None,
        confidence: float = 0.95,
    ) -> None:
        self.metric, self.margin, self.column, self.confidence = metric, margin, column, confidence
        self.done = done.dropna(subset=[column])
        self.controls = controls.dropna(subset=[column]) if column in controls else pd.DataFrame()
        self.of_teachers = unit_of(done) == "teacher_seed"
        self.scores = scores_by_seed(self.done, column)  # settings × units
        self.settings: list[Setting] = [tuple(key) for key in self.scores.index]
        self.units = int(self.scores.notna().any().sum())
        self._correct = correct or {}
        several = "teacher_seed" in self.done
        self.teachers = int(self.done.groupby("label_smoothing").teacher_seed.nunique().min()) if several else 1

    @property
    def alone(self) -> bool:
        """Whether one unit is all there is, so that nothing says how much is chance."""
        return self.units < 2

    @property
    def samples(self) -> int | None:
        """How many samples the students were judged on, where these count as a sample; None where they do not."""
        return None if self.images is None else len(self._correct[str(self.done.cell.iloc[0])])

    @cached_property
    def images(self) -> NDArray[np.float64] | None:
        """What the sample of images adds to the variance of each difference of two settings; None: not known."""
        return self._images_of([self.students_of(setting) for setting in self.settings])

    def compared(self) -> Comparison | None:
        """The settings against the best of the others; None where nothing can be compared."""
        return compared(self.scores, self.margin, self.metric, self.images, self.confidence)

    @cached_property
    def seed_of_unit(self) -> dict[int, int] | None:
        """The one student seed of each unit; None where units share seeds, as teachers do that all seeds learn from."""
        if not self.of_teachers:
            return {int(seed): int(seed) for seed in self.scores.columns}
        pairs = self.done[["teacher_seed", "seed"]].drop_duplicates().astype(int)
        shared = pairs.teacher_seed.duplicated().any() or pairs.seed.duplicated().any()
        return None if shared else dict(zip(pairs.teacher_seed, pairs.seed, strict=True))

    def with_control(self, control: pd.DataFrame) -> Comparison | None:
        """The settings and a control, as the last one, block by block; None where a block has not its own student seed.

        Where teachers are the units, a control is a whole plot of its own. It has no teacher whose luck it could share,
        so the error between plots is rather too large for it.
        """
        if self.seed_of_unit is None:
            return None
        seeds = [self.seed_of_unit.get(int(unit)) for unit in self.scores.columns]
        own = control.set_index("seed")[self.column].reindex(seeds)
        name = pd.MultiIndex.from_tuples([CONTROL], names=self.scores.index.names)
        row = pd.DataFrame([own.to_numpy()], index=name, columns=self.scores.columns)
        students = [*(self.students_of(setting) for setting in self.settings), control]
        images = self._images_of(students)
        return compared(pd.concat([self.scores, row]), self.margin, self.metric, images, self.confidence)

    @property
    def best_control(self) -> pd.DataFrame | None:
        """The students of the best kind without a teacher; None where there are none."""
        if self.controls.empty:
            return None
        kinds = dict(iter(self.controls.groupby(["objective", "label_smoothing"])))
        most = max(len(rows) for rows in kinds.values())  # one whose students failed is not the best by a lucky seed
        kinds = {name: rows for name, rows in kinds.items() if len(rows) == most}
        best = self.metric.best(pd.Series({name: rows[self.column].mean() for name, rows in kinds.items()}))
        return kinds[best]

    def scores_of(self, setting: Setting) -> pd.Series:
        """One figure a unit."""
        return self.scores.iloc[self.settings.index(setting)].dropna()

    def image_variance(self, one: pd.DataFrame, other: pd.DataFrame) -> float:
        """What the sample of images contributes to the variance of a difference; 0 where it is not known."""
        found = self._images_of([one, other])
        return 0.0 if found is None else float(found[0, 1])

    def students_of(self, setting: Setting) -> pd.DataFrame:
        """The finished students of a setting."""
        own = self.done
        for key, value in zip(KEY, setting, strict=True):
            own = own[own[key] == value]
        return own

    def _images_of(self, students: list[pd.DataFrame]) -> NDArray[np.float64] | None:
        """Of accuracies whose students' answers are all kept; None of others."""
        if not self.metric.counts_right or not all(cell in self._correct for own in students for cell in own.cell):
            return None
        pairs = sorted({pair for own in students for pair in self._places(own)})
        length = max(len(self._correct[cell]) for own in students for cell in own.cell)
        tables: dict[Any, NDArray[np.float64]] = {}
        for number, own in enumerate(students):
            table = np.full((len(pairs), length), np.nan)
            for place, cell in zip(self._places(own), own.cell, strict=True):
                if len(self._correct[cell]) != length:
                    return None
                table[pairs.index(place)] = np.where(self._correct[cell] < 0, np.nan, self._correct[cell])
            tables[number] = table
        try:
            return image_variances(tables)
        except ValueError:  # hardly an image that all could be judged on
            return None

    def _places(self, own: pd.DataFrame) -> list[tuple[int, int]]:
        """Which block each student is of: its seed, and its teacher's where seeds have several; a control has none."""
        teachers = own["teacher_seed"].fillna(-1) if self.seed_of_unit is None else [0] * len(own)
        return [(int(t), int(s)) for t, s in zip(teachers, own["seed"], strict=True)]
