"""The paper's published tables, in the shape of the user's own: a row per temperature, a column per α."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

import pandas as pd

from tosmooth.tasks.published import Published

MODELS = {
    "resnet50": "ResNet-50", "resnet18": "ResNet-18", "mobilenet_v2": "MobileNetV2", "transformer": "Transformer",
}  # fmt: skip


@dataclass(frozen=True)
class PaperTable:
    """One teacher-student pair of the paper.

    Attributes:
        pair: data set, teacher and student, as the published figures name them.
        title: the same for people.
        teacher: the published figure by α.
        students: the same, index T, columns α.
    """

    pair: tuple[str, str, str]
    title: str
    teacher: pd.Series
    students: pd.DataFrame


def published_results() -> pd.DataFrame:
    """The published figures, one row per run: top1 and top5 in percent, bleu in BLEU points."""
    with resources.files("tosmooth.report").joinpath("paper_results.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file, comment="#")


@cache
def paper_tables(published: Published) -> tuple[PaperTable, ...]:
    """The tables of one kind of study, one for each teacher-student pair, in the paper's order; only to be read."""
    rows = published_results()
    rows = rows[rows["task"] == published.kind]
    students = rows[rows["role"] == "student"]
    tables = []
    for (dataset, teacher, student), part in students.groupby(["dataset", "teacher", "student"], sort=False):
        own = rows[(rows["role"] == "teacher") & (rows["dataset"] == dataset) & (rows["teacher"] == teacher)]
        table = PaperTable(
            pair=(str(dataset), str(teacher), str(student)),
            title=f"{published.datasets[dataset]}, {MODELS[teacher]} → {MODELS[student]}",
            teacher=own.set_index("label_smoothing")[published.column],
            students=part.pivot(index="temperature", columns="label_smoothing", values=published.column).sort_index(),
        )
        tables.append(table)
    return tuple(tables)
