"""The paper's published tables, in the shape of the user's own: a row per temperature, a column per α."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

import pandas as pd

DATASETS = {"imagenet-1k": "ImageNet-1K", "cub-200-2011": "CUB-200-2011"}
MODELS = {"resnet50": "ResNet-50", "resnet18": "ResNet-18", "mobilenet_v2": "MobileNetV2"}


@dataclass(frozen=True)
class PaperTable:
    """One teacher-student pair of the paper.

    Attributes:
        title: data set, teacher and student.
        teacher: top-1 in percent by α.
        students: top-1 in percent, index T, columns α.
    """

    title: str
    teacher: pd.Series
    students: pd.DataFrame


def published_results() -> pd.DataFrame:
    """The published figures, one row per run: top1 and top5 in percent, bleu in BLEU points."""
    with resources.files("tosmooth.report").joinpath("paper_results.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file, comment="#")


def paper_tables() -> list[PaperTable]:
    """The paper's image classification tables, in the paper's order."""
    images = published_results().query("task == 'image'")
    students = images[images["role"] == "student"]
    tables = []
    for (dataset, teacher, student), part in students.groupby(["dataset", "teacher", "student"], sort=False):
        own = images[(images["role"] == "teacher") & (images["dataset"] == dataset) & (images["teacher"] == teacher)]
        tables.append(
            PaperTable(
                title=f"{DATASETS[dataset]}, {MODELS[teacher]} → {MODELS[student]}",
                teacher=own.set_index("label_smoothing")["top1"],
                students=part.pivot(index="temperature", columns="label_smoothing", values="top1").sort_index(),
            )
        )
    return tables
