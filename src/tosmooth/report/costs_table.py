"""The table of what smoothing costs beside accuracy: calibration, ranking by confidence, classes, the teacher."""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import pandas as pd

from tosmooth.advice.units import by_unit
from tosmooth.analysis.class_scores import FEWEST_SAMPLES
from tosmooth.analysis.inference import Interval
from tosmooth.folder.columns import AGREEMENT, AURC, COSTS_ON_TEST, ECE_FITTED, MACRO_F1, WORST_CLASS, column
from tosmooth.losses.objectives import has_temperature
from tosmooth.report.reading import StudyFiles
from tosmooth.report.tables import Column, Table, text_column
from tosmooth.words.numbers import MISSING, decimals_for, half_width, over_seeds, plus_minus

ECE = column("test", "ece")
BY_CONFIDENCE = (ECE, ECE_FITTED, AURC)  # shares in the files, in percent here
TITLES = {
    ECE: "ECE, %",
    ECE_FITTED: "ECE after one T, %",
    AURC: "AURC, × 100",
    MACRO_F1: "macro F1, %",
    WORST_CLASS: "worst class, %",
    AGREEMENT: "agreement, %",
}
MEANINGS = {
    ECE: "ECE: expected calibration error.",
    ECE_FITTED: "After one T: the same with the logits of each model divided by the one temperature under which "
    "its validation labels are likeliest.",
    AURC: "AURC: area under the risk–coverage curve, the mean share of wrong answers where the least sure are left "
    "out; less is better.",
    MACRO_F1: "Macro F1: each class counts alike.",
    WORST_CLASS: "Worst class: the share of right answers of the class where it is lowest; classes of fewer than "
    f"{FEWEST_SAMPLES} test {{samples}} are left out.",
    AGREEMENT: "Agreement: how often a student answers as its own teacher does, right or wrong.",
}


class _Row(NamedTuple):
    """One row: the teachers of an α, or the students of a setting."""

    model: str
    objective: str
    student: str
    label_smoothing: float  # of the teacher; NaN where there is none
    temperature: float  # NaN where there is none
    figures: dict[str, Interval]


def costs_table(files: StudyFiles) -> Table | None:
    """Costs on test by setting, teachers first; None of a study that does not say."""
    names = [name for name in TITLES if files.task.calibrated or name not in BY_CONFIDENCE]
    cells = files.done
    names = [name for name in names if name in cells and cells[name].notna().any()]
    if not set(names) & set(COSTS_ON_TEST):
        return None
    rows = [*_teachers(files, names), *_students(files, names), *_controls(files, names)]
    columns = [
        text_column("model", [row.model for row in rows]),
        *(
            text_column(key, [getattr(row, key) for row in rows])
            for key in ("objective", "student")
            if cells[key].nunique() > 1
        ),
        _key_column("α", [row.label_smoothing for row in rows]),
        _key_column("T", [row.temperature for row in rows]),
        *(_column(name, [row.figures[name] for row in rows]) for name in names),
    ]
    word, several = files.unit_word, len(files.units) > 1
    bars = f"mean ± half of the 95 % t-interval over {len(files.units)} {word}s" if several else f"one {word}"
    meanings = " ".join(MEANINGS[name] for name in names).format(samples=files.task.samples)
    caption = f"Figures on the test split, students: {bars}. {meanings}"
    data = pd.DataFrame(
        {
            "model": row.model,
            "objective": row.objective,
            "student": row.student,
            "label_smoothing": row.label_smoothing,
            "temperature": row.temperature,
            "quantity": name,
            **dataclasses.asdict(row.figures[name]),
        }
        for row in rows
        for name in names
    )
    return Table("costs", caption, columns, data, sortable=True)


def _students(files: StudyFiles, names: list[str]) -> list[_Row]:
    keys = ["objective", "student", "label_smoothing", "temperature"]
    units = by_unit(files.done, names, keys, unit=files.unit)
    rows = []
    for (objective, student, alpha, temperature), own in units.groupby(keys):
        own_temperature = temperature if has_temperature(objective) else math.nan
        rows.append(_Row("students", objective, student, alpha, own_temperature, _intervals(own, names)))
    return rows


def _controls(files: StudyFiles, names: list[str]) -> list[_Row]:
    """The students without a teacher, by model and by what they learn from."""
    nan = math.nan
    return [
        _Row(f"students {name}", MISSING, student, nan, nan, _intervals(own.reindex(columns=names), names))
        for student in dict.fromkeys(files.done["student"])
        for name, own in files.controls_of(str(student))
    ]


def _teachers(files: StudyFiles, names: list[str]) -> list[_Row]:
    """By α; a teacher has no teacher to agree with."""
    known = files.teachers.reindex(columns=["label_smoothing", *names])
    known = known.dropna(subset=[name for name in names if name != AGREEMENT], how="all")
    groups = known.groupby("label_smoothing")
    return [_Row("teacher", MISSING, MISSING, float(alpha), math.nan, _intervals(own, names)) for alpha, own in groups]


def _intervals(table: pd.DataFrame, names: list[str]) -> dict[str, Interval]:
    return {name: over_seeds((100 if name in BY_CONFIDENCE else 1) * table[name]) for name in names}


def _key_column(title: str, values: list[float]) -> Column:
    return Column(title, [MISSING if math.isnan(value) else f"{value:g}" for value in values], values)


def _column(name: str, intervals: list[Interval]) -> Column:
    digits = decimals_for([half_width(i) for i in intervals], otherwise=1, least=1, most=2)
    return Column(TITLES[name], [plus_minus(i, digits) for i in intervals], [i.mean for i in intervals])
