"""The paper's published tables, in the shape of the user's own: a row per temperature, a column per α."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

import pandas as pd

DATASETS = {"imagenet-1k": "ImageNet-1K", "cub-200-2011": "CUB-200-2011"}
MODELS = {
    "resnet50": "ResNet-50", "resnet18": "ResNet-18", "mobilenet_v2": "MobileNetV2", "transformer": "Transformer",
}  # fmt: skip
TRANSLATION_DATASETS = {"iwslt14-en-de": "IWSLT14 English → German", "iwslt14-en-ru": "IWSLT14 English → Russian"}


@dataclass(frozen=True)
class PaperTable:
    """One teacher-student pair of the paper.

    Attributes:
        pair: data set, teacher and student, as the published figures name them.
        title: the same for people.
        teacher: top-1 in percent, or BLEU, by α.
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


def paper_tables() -> list[PaperTable]:
    """The paper's image classification tables, in the paper's order."""
    return _tables("image", DATASETS, "top1")


def paper_translation_tables(language: str = "") -> list[PaperTable]:
    """The paper's translation tables; first the one whose target language it is (`de`, `ru`)."""
    found = _tables("translation", TRANSLATION_DATASETS, "bleu")
    return sorted(found, key=lambda table: not table.pair[0].endswith(f"-{language}"))


def _tables(task: str, datasets: Mapping[str, str], metric: str) -> list[PaperTable]:
    """The table of each teacher-student pair of a task."""
    rows = published_results().query("task == @task")
    students = rows[rows["role"] == "student"]
    tables = []
    for (dataset, teacher, student), part in students.groupby(["dataset", "teacher", "student"], sort=False):
        own = rows[(rows["role"] == "teacher") & (rows["dataset"] == dataset) & (rows["teacher"] == teacher)]
        table = PaperTable(
            pair=(str(dataset), str(teacher), str(student)),
            title=f"{datasets[dataset]}, {MODELS[teacher]} → {MODELS[student]}",
            teacher=own.set_index("label_smoothing")[metric],
            students=part.pivot(index="temperature", columns="label_smoothing", values=metric).sort_index(),
        )
        tables.append(table)
    return tables
