"""The projection panels of a study: which three classes, and their points for each model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd
import torch
from torch import Tensor

from tosmooth.analysis.diffusion import relative_distances
from tosmooth.analysis.projection import PenultimateProjection
from tosmooth.config.schema import StudyConfig
from tosmooth.errors import ConfigError, did_you_mean
from tosmooth.folder.paths import FEATURES_FILE, PROJECTION_FILE, PROJECTION_INFO_FILE
from tosmooth.folder.sums import check_model_file
from tosmooth.folder.tensors import read_tensors
from tosmooth.folder.writing import write_csv, write_json
from tosmooth.losses.objectives import leading_objective
from tosmooth.models.last_layer import find_last_layer
from tosmooth.models.study_model import StudyModel
from tosmooth.study.context import Context
from tosmooth.study.diffusion import least_smoothed, read_centroids
from tosmooth.study.plan import Cell, Teacher
from tosmooth.tasks.base import StudyData
from tosmooth.training.evaluation import features_of_classes

POINTS_PER_CLASS = 60  # enough to see a cluster's shape; 20 panels stay light


def given_classes(config: StudyConfig, data: StudyData) -> tuple[int, int, int] | None:
    """The configured classes of the projection; None where the teacher's geometry chooses.

    Raises:
        ConfigError: a name or an index is of no class, or they repeat.
    """
    given = config.analysis.projection_classes
    if given is None:
        return None
    key = "analysis.projection_classes"
    unknown = [name for name in given if isinstance(name, str) and name not in data.classes]
    if unknown:
        raise ConfigError([f"{key}: unknown class {unknown[0][:80]!r}; {did_you_mean(unknown[0], data.classes)}"])
    found = [data.classes.index(name) if isinstance(name, str) else name for name in given]
    if len(set(found)) < 3 or not all(0 <= index < data.num_classes for index in found):
        limit = data.num_classes - 1
        raise ConfigError([f"{key}: three different names, or indices from 0 to {limit}, not {given}"])
    return found[0], found[1], found[2]


def choose_classes(context: Context) -> tuple[int, int, int]:
    """Two similar classes and one that is not: as configured, else by the (unsmoothed) teacher's geometry.

    The pair is the closest of all by relative centroid distance, symmetrised; the third is the one farthest from both.
    """
    given = given_classes(context.config, context.data)
    if given is not None:
        return given
    count = context.data.num_classes
    centroids = read_centroids(context, least_smoothed(context.plan.teachers), "train")
    assert centroids is not None
    relative = relative_distances(centroids)
    both = (relative + relative.T).fill_diagonal_(float("inf"))
    first, second = divmod(int(both.argmin()), count)
    apart = torch.minimum(both[first], both[second])
    apart[[first, second]] = -1
    return first, second, int(apart.argmax())


def is_shown(context: Context, cell: Cell) -> bool:
    """Whether the projection shows this student: of the first model, objective (with T), seed, teacher seed."""
    student, teacher = context.config.student, context.config.teacher
    first = (student.model.name, leading_objective(student.objectives), student.seeds[0], teacher.seeds[0])
    return (cell.student, cell.loss, cell.seed, cell.teacher_seed) == first and (
        cell.hard_weight == student.hard_weight[0]
    )


def _features(
    context: Context, owner: Teacher | Cell, model: StudyModel, split_name: str, classes: tuple[int, int, int]
) -> tuple[Tensor, Tensor]:
    """Features and labels of the three classes: kept ones, or read now for other classes than were kept."""
    kept = context.folder(owner) / FEATURES_FILE
    if kept.is_file():
        check_model_file(kept)
        tensors = read_tensors(kept, "delete it, and the features are taken again")
        labels = tensors[f"{split_name}.labels"]
        if set(classes) <= set(labels.tolist()):
            chosen = torch.isin(labels, torch.tensor(classes))
            return tensors[f"{split_name}.features"][chosen], labels[chosen]
    split = {"train": context.data.train, "val": context.data.validation}[split_name]
    batches = context.whole_batches(split)
    outputs = context.data.class_outputs
    return features_of_classes(model, batches, context.compute, classes, context.last_layer(owner), outputs)


def _head(context: Context, owner: Teacher | Cell, model: StudyModel) -> tuple[Tensor, Tensor | None]:
    """Weight (C, D) and bias (C,) of the last layer's outputs that are classes."""
    _, layer = find_last_layer(model, model.num_classes, context.last_layer(owner))
    weight = layer.weight.detach().float().cpu().flatten(1)  # a 1×1 convolution is a linear map over channels
    bias = None if layer.bias is None else layer.bias.detach().float().cpu()
    outputs = context.data.class_outputs
    if outputs is None:
        return weight, bias
    return weight[outputs], None if bias is None else bias[outputs]


def _panel(
    context: Context, owner: Teacher | Cell, classes: tuple[int, int, int], plane: str
) -> Iterator[dict[str, object]]:
    """Points and centroids of one model, training and validation."""
    model = context.trained_model(owner)
    projection = PenultimateProjection(*_head(context, owner, model), classes, plane=plane)
    is_teacher = isinstance(owner, Teacher)
    for split_name, split in (("train", context.data.train), ("val", context.data.validation)):
        if not len(split):
            continue
        features, labels = _features(context, owner, model, split_name, classes)
        if split_name == "train":
            projection.fit(features, labels)  # and reused unchanged for validation (Algorithm 1)
        points = projection.transform(features)
        for index in classes:
            own = points[labels == index]
            if not len(own):
                continue
            shown = [("point", xy) for xy in own[:POINTS_PER_CLASS]] + [("centroid", own.mean(0))]
            for kind, xy in shown:
                yield {
                    "role": "teacher" if is_teacher else "student",
                    "name": owner.name,
                    "label_smoothing": owner.label_smoothing,
                    "temperature": None if isinstance(owner, Teacher) else owner.temperature,
                    "seed": owner.seed,
                    "split": split_name,
                    "class_index": index,
                    "class_name": context.data.classes[index],
                    "kind": kind,
                    "x": round(float(xy[0]), 5),
                    "y": round(float(xy[1]), 5),
                }


def analyse_projection(context: Context, done: Mapping[str, Cell], *, plane: str = "algorithm1") -> None:
    """Write the points of all panels: the first seed's teachers, and their students that `is_shown` names."""
    classes = choose_classes(context)
    owners: list[Teacher | Cell] = [
        *(teacher for teacher in context.plan.teachers if teacher.seed == context.config.teacher.seeds[0]),
        *(cell for cell in done.values() if is_shown(context, cell)),
    ]
    rows = [row for owner in owners for row in _panel(context, owner, classes, plane)]
    write_csv(context.directory.analysis / PROJECTION_FILE, pd.DataFrame(rows))
    write_json(
        context.directory.analysis / PROJECTION_INFO_FILE,
        {
            "classes": list(classes),
            "names": [context.data.classes[index] for index in classes],
            "similar": list(classes[:2]),
            "other": classes[2],
            "plane": {"algorithm1": "algorithm 1", "templates": "class templates"}[plane],
            "seed": context.config.student.seeds[0],
            "teacher_seed": context.config.teacher.seeds[0],
        },
    )
