"""Reads a study directory into one structure. Every file but the configuration and the results may be missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tosmooth.advice.advise import answer_of
from tosmooth.advice.best_student import best_by_validation
from tosmooth.advice.blocks import controls_of
from tosmooth.advice.comparisons import KEY
from tosmooth.advice.units import reference_temperature, unit_of, unit_word
from tosmooth.errors import StudyError
from tosmooth.folder.agreement import check_agreement
from tosmooth.folder.columns import GRID_COLUMNS, RESULT_COLUMNS
from tosmooth.folder.paths import (
    ADVICE_FILE,
    CALIBRATION_FILE,
    DIFFUSION_CLASSES_FILE,
    DIFFUSION_FILE,
    DIFFUSION_SUMMARY_FILE,
    INHERITANCE_FILE,
    LEARNING_RATES_FILE,
    OBJECTIVES_FILE,
    PROJECTION_FILE,
    PROJECTION_INFO_FILE,
    RESULTS_FILE,
    SIMILARITY_FILE,
    VERDICT_FILE,
    VIEWS_FILE,
    VIEWS_INFO_FILE,
)
from tosmooth.folder.reading import read_config, read_mapping, read_table, read_unreadable
from tosmooth.folder.strange import study_at
from tosmooth.losses.objectives import has_temperature
from tosmooth.tasks.base import Traits
from tosmooth.tasks.find import traits_of
from tosmooth.tasks.metric import Metric
from tosmooth.words.numbers import file_name
from tosmooth.words.students import without_teacher
from tosmooth.words.wording import Wording, wording_of


@dataclass(frozen=True)
class StudyFiles:
    """What a study left on disk.

    Attributes:
        path: the study's folder.
        config: `study.yaml` as a nested mapping.
        environment: `environment.json`; empty where missing.
        cells: `results.csv`, one row per cell, failed ones included.
        teachers: `teachers.csv`.
        advice: the advice frozen before the test split was read; empty where it was not given yet.
        verdict: what test says of the advice, as facts; empty where the test split was not read yet.
        diffusion: η per cell.
        summary: η over seeds, with intervals.
        classes: η per class.
        similarity: S1 and S2 by class.
        projection: points and centroids of the projection panels.
        projection_info: which classes, and which plane.
        calibration: reliability bins.
        views: teachers and students in the three views, one row each.
        views_info: what the views say of teachers, and how mutual information was measured.
        inheritance: ECE of students beside their teachers'.
        objectives: other objectives against the reference, where there are several.
        learning_rates: the first seeds' students at every learning rate; empty where one was tried.
        controls: `controls.csv`, one row per student without a teacher; empty where there are none.
    """

    path: Path
    config: dict[str, Any]
    environment: dict[str, Any]
    cells: pd.DataFrame
    teachers: pd.DataFrame
    advice: dict[str, Any]
    verdict: dict[str, Any]
    diffusion: pd.DataFrame
    summary: pd.DataFrame
    classes: pd.DataFrame
    similarity: dict[str, Any]
    projection: pd.DataFrame
    projection_info: dict[str, Any]
    calibration: pd.DataFrame
    unreadable: list[str] = field(default_factory=list)  # images that were left out, with their reasons
    views: pd.DataFrame = field(default_factory=pd.DataFrame)
    views_info: dict[str, Any] = field(default_factory=dict)
    inheritance: pd.DataFrame = field(default_factory=pd.DataFrame)
    objectives: pd.DataFrame = field(default_factory=pd.DataFrame)
    learning_rates: pd.DataFrame = field(default_factory=pd.DataFrame)
    controls: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def name(self) -> str:
        """The study's name."""
        return str(self.config.get("name") or self.path.name)

    @cached_property
    def task(self) -> Traits:
        """What is known of the study's task."""
        return traits_of(self.config.get("task"), self.advice)

    @property
    def metric(self) -> Metric:
        """What the study's settings are compared by."""
        return self.task.metric

    @cached_property
    def answer(self) -> dict[str, Any] | None:
        """What the study answers, as facts; None where it was not advised yet."""
        return answer_of(self.advice, self.verdict, self.cells, self.controls, self.metric)

    @property
    def wording(self) -> Wording:
        """How sentences speak of it."""
        return wording_of(self.advice, self.cells, self.metric, preview=self.preview)

    @property
    def preview(self) -> bool:
        """Whether the study is too short to conclude from, and must say so everywhere."""
        return bool(self.config.get("preview") or self.verdict.get("preview"))

    @cached_property
    def done(self) -> pd.DataFrame:
        """The finished cells."""
        return self.cells[self.cells["status"] == "done"]

    @cached_property
    def alphas(self) -> list[float]:
        """All smoothing factors of the study, ascending."""
        values = {float(a) for a in self.cells["label_smoothing"]}
        if "label_smoothing" in self.teachers:
            values |= {float(a) for a in self.teachers["label_smoothing"].dropna()}
        return sorted(values)

    @cached_property
    def temperatures(self) -> list[float]:
        """All temperatures of the study, ascending."""
        return sorted({float(t) for t in self.cells["temperature"]})

    @property
    def reference_temperature(self) -> float:
        """T₀: 1 if it is in the grid, else the lowest temperature."""
        return reference_temperature(self.temperatures)

    @property
    def highest_temperature(self) -> float:
        """The highest temperature of the grid."""
        return self.temperatures[-1]

    @cached_property
    def shown_alphas(self) -> list[float]:
        """At most three α for figures of panels: the lowest, the highest, and the recommended one or one between."""
        chosen = (self.advice.get("recommendation") or {}).get("label_smoothing")
        return _some(self.alphas, 3, chosen)

    @cached_property
    def shown_temperatures(self) -> list[float]:
        """At most four T for figures of panels: T₀, the highest, and some between, the recommended one among them."""
        chosen = (self.advice.get("recommendation") or {}).get("temperature")
        raised = [t for t in self.temperatures if t >= self.reference_temperature]
        return _some(raised, 4, chosen)

    @cached_property
    def seeds(self) -> list[int]:
        """The students' seeds, ascending."""
        return sorted({int(s) for s in self.cells["seed"]})

    @cached_property
    def teacher_seeds(self) -> list[int]:
        """The teachers' seeds, ascending; empty in results of a version that did not write them."""
        return sorted({int(s) for s in self.cells["teacher_seed"].dropna()}) if "teacher_seed" in self.cells else []

    @property
    def unit(self) -> str:
        """Column of the unit of inference: "seed", or "teacher_seed" where there are several."""
        return unit_of(self.cells)

    @property
    def unit_word(self) -> str:
        """That unit in words: "seed" or "teacher seed"."""
        return unit_word(self.cells)

    @cached_property
    def units(self) -> list[int]:
        """The units, ascending."""
        return self.teacher_seeds if self.unit == "teacher_seed" else self.seeds

    @cached_property
    def settings(self) -> list[tuple[str, str]]:
        """(objective, student model) pairs; first the recommended one, else the first of the grid.

        One without a temperature cannot lead figures over T: it gives way to the others of its student, and comes last.
        """
        pairs = list(dict.fromkeys(zip(self.cells["objective"], self.cells["student"], strict=True)))
        chosen = self.advice.get("recommendation") or {}
        objective = chosen.get("objective")

        def place(pair: tuple[str, str]) -> tuple[bool, bool]:
            own = pair[0] if not has_temperature(objective) else objective
            return not has_temperature(pair[0]), pair != (own, chosen.get("student", pair[1]))

        return sorted(pairs, key=place)

    def part_of(self, table: pd.DataFrame, setting: tuple[str, str]) -> pd.DataFrame:
        """The rows of a table that are about one (objective, student model); older tables do not tell models apart."""
        own = table["objective"] == setting[0]
        return table[own & (table["student"] == setting[1])] if "student" in table else table[own]

    def of_setting(self, setting: Mapping[str, Any]) -> pd.DataFrame:
        """The finished students of a setting, by the columns of `advice.comparisons.KEY`."""
        return self.done[(self.done[KEY] == [setting.get(key) for key in KEY]).all(axis=1)]

    @cached_property
    def kept_student(self) -> dict[str, Any] | None:
        """The row of the student that `tosmooth export` takes, the best seed by validation of the recommended setting;
        None without advice."""
        chosen = self.advice.get("recommendation")
        found = self.of_setting(chosen).to_dict("records") if isinstance(chosen, Mapping) else []
        rows = {str(row["cell"]): {str(key): value for key, value in row.items()} for row in found}
        return rows[best_by_validation(rows, self.metric)[0]] if rows else None

    def cells_of(self, setting: tuple[str, str]) -> pd.DataFrame:
        """The finished cells of one (objective, student model)."""
        return self.done[(self.done["objective"] == setting[0]) & (self.done["student"] == setting[1])]

    @cached_property
    def accuracy_keys(self) -> dict[tuple[str, str], str]:
        """Name of the figure and table of the metric of each setting; no two are one file, whatever the names hold."""
        keys: dict[tuple[str, str], str] = {}
        for setting in self.settings:
            wanted = file_name(self.metric.key, *setting) if keys else self.metric.key
            taken = {key.casefold() for key in keys.values()}
            numbered = (f"{wanted}-{number}" for number in range(2, len(self.settings) + 2))
            keys[setting] = next(key for key in (wanted, *numbered) if key.casefold() not in taken)
        return keys

    @cached_property
    def diffusion_keys(self) -> dict[tuple[str, str], str]:
        """Name of the diffusion figure and table of the main setting, and of its objective with each other student."""
        main = self.settings[0]
        others = [setting for setting in self.settings[1:] if setting[0] == main[0]]
        suffixes = {setting: self.accuracy_keys[setting].removeprefix(self.metric.key) for setting in others}
        return {main: "diffusion"} | {setting: f"diffusion{suffix}" for setting, suffix in suffixes.items()}

    @cached_property
    def accuracy(self) -> str | None:
        """The metric's column to show: test where it was read, else validation, else None."""
        columns = (self.metric.test, self.metric.val)
        return next((c for c in columns if c in self.done and self.done[c].notna().any()), None)

    @property
    def split_name(self) -> str:
        """Name of the split that `accuracy` was measured on."""
        return "validation" if self.accuracy == self.metric.val else "test"

    @cached_property
    def everyone(self) -> pd.DataFrame:
        """Every student: those of the grid, then those without a teacher."""
        return pd.concat([self.cells, self.controls], ignore_index=True) if len(self.controls) else self.cells

    def controls_of(self, student: str) -> list[tuple[str, pd.DataFrame]]:
        """The finished students of a model that have no teacher, by what they are called."""
        own = controls_of(self.controls, student)
        if own.empty:
            return []
        return [(without_teacher(float(alpha)), rows) for alpha, rows in own.groupby("label_smoothing")]  # type: ignore[arg-type]

    @property
    def unfinished(self) -> pd.DataFrame:
        """The cells that failed or were never trained."""
        return self.cells[self.cells["status"] != "done"]

    @property
    def failed(self) -> pd.DataFrame:
        """The students that failed, controls included, with the reason in `failure`."""
        failed = self.everyone[self.everyone["status"] == "failed"]
        return failed if "failure" in failed else failed.assign(failure="")


def read_study(path: Path) -> StudyFiles:
    """Read a study directory.

    Raises:
        StudyError: the folder is no study, has no results, one of its files is damaged (named), or its tables do not
            say what the records of its models say.
    """
    directory = study_at(path)
    if not directory.results.is_file():
        raise StudyError(f"{path} has no {RESULTS_FILE} yet; run the study first")
    config = read_config(directory.config)
    cells = read_table(directory.results)
    absent = [column for column in RESULT_COLUMNS if column not in cells]
    if absent:
        raise StudyError(f"{directory.results} lacks the columns {', '.join(absent)}")
    if cells.empty:
        raise StudyError(f"{directory.results} has no rows; run the study first")
    for column in GRID_COLUMNS:
        if not np.isfinite(cells[column].to_numpy(dtype=float)).all():
            raise StudyError(f"{directory.results}: the column {column!r} must hold a finite number in every row")
    analysis = directory.analysis
    teachers, controls = read_table(directory.teacher_results), read_table(directory.control_results)
    check_agreement(directory, teachers, cells, controls)
    return StudyFiles(
        path=path,
        config=config,
        environment=read_mapping(directory.environment),
        cells=cells,
        teachers=teachers,
        advice=read_mapping(analysis / ADVICE_FILE),
        verdict=read_mapping(analysis / VERDICT_FILE),
        diffusion=read_table(analysis / DIFFUSION_FILE),
        summary=read_table(analysis / DIFFUSION_SUMMARY_FILE),
        classes=read_table(analysis / DIFFUSION_CLASSES_FILE),
        similarity=read_mapping(analysis / SIMILARITY_FILE),
        projection=read_table(analysis / PROJECTION_FILE),
        projection_info=read_mapping(analysis / PROJECTION_INFO_FILE),
        calibration=read_table(analysis / CALIBRATION_FILE),
        unreadable=read_unreadable(directory.unreadable),
        views=read_table(analysis / VIEWS_FILE),
        views_info=read_mapping(analysis / VIEWS_INFO_FILE),
        inheritance=read_table(analysis / INHERITANCE_FILE),
        objectives=read_table(analysis / OBJECTIVES_FILE),
        learning_rates=read_table(analysis / LEARNING_RATES_FILE),
        controls=controls,
    )


def _some(values: list[float], most: int, wanted: float | None) -> list[float]:
    """At most so many of ascending values: the first, the last, and evenly between; a wanted one takes its neighbour's
    place."""
    if len(values) <= most:
        return values
    picked = [round(i * (len(values) - 1) / (most - 1)) for i in range(most)]
    if wanted in values and values.index(wanted) not in picked:
        position = values.index(wanted)
        nearest = min(range(1, most - 1), key=lambda i: abs(picked[i] - position))
        picked[nearest] = position
    return [values[i] for i in sorted(picked)]
