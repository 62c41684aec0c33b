"""The diffusion tables of a study, from the centroids its models left on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file

from tosmooth.analysis.centroids import ClassCentroids
from tosmooth.analysis.diffusion import NORMALISATIONS, diffusion_index
from tosmooth.analysis.inference import sign_flip_test, t_interval
from tosmooth.analysis.similarity import default_similar_count, masks_from_groups, similar_classes
from tosmooth.config import StudyConfig
from tosmooth.data.base import ImageData
from tosmooth.errors import ConfigError, did_you_mean
from tosmooth.study.context import Context
from tosmooth.study.directory import write_csv, write_json
from tosmooth.study.plan import Cell, Teacher
from tosmooth.study.units import by_unit, less_unsmoothed, reference_temperature, unit_of
from tosmooth.untrusted import UnreadableError, read_yaml

RELIABLE_SAMPLES = 20  # a class's centroid from fewer samples is marked unreliable
SETTING = ["objective", "student", "label_smoothing", "temperature", "split", "normalisation", "debiased"]


@dataclass(frozen=True)
class Similarity:
    """Which classes are similar (S1) and dissimilar (S2) to each class, and on whose word."""

    similar: torch.Tensor  # (K, K) bool, row π
    dissimilar: torch.Tensor  # (K, K) bool, row π
    source: str
    weaker_evidence: bool
    m: int | None  # classes in S1 and in S2; None where groups decide


def read_centroids(context: Context, owner: Teacher | Cell, split: str) -> ClassCentroids | None:
    """The centroids of a model on "train" or "val"; None where the split was empty."""
    tensors = load_file(context.folder(owner) / "centroids.safetensors")
    own = {key.removeprefix(f"{split}."): value for key, value in tensors.items() if key.startswith(f"{split}.")}
    return ClassCentroids.from_state_dict(own) if own else None


def given_similarity(config: StudyConfig, data: ImageData) -> Similarity | None:
    """S1 and S2 from the user's groups or the data set's super-classes; None where a teacher's geometry decides.

    Raises:
        ConfigError: fewer than 3 classes, sets that do not fit into them, groups that are not well-formed or name
            unknown classes, or super-classes of data that has none.
    """
    section, classes = config.analysis, data.classes
    count = len(classes)
    if count < 3:
        raise ConfigError([f"the data has {count} classes; diffusion towards similar classes needs at least 3"])
    if section.groups is None and not section.superclasses:
        if section.similar is not None and section.similar > (count - 1) // 2:
            most = (count - 1) // 2
            raise ConfigError([f"analysis.similar: {section.similar} is too many for {count} classes; at most {most}"])
        return None
    if section.groups is not None:
        key, source = f"analysis.groups: {section.groups}", f"groups of {section.groups.name}"
        groups = _read_groups(section.groups, classes)
    else:
        names = data.superclasses
        if names is None:
            raise ConfigError([f"analysis.superclasses: the source {data.source!r} has no super-classes"])
        key, source = "analysis.superclasses", "super-classes of the data set"
        groups = [[i for i, other in enumerate(names) if other == name] for name in sorted(set(names))]
    try:
        return Similarity(*masks_from_groups(groups, count), source, False, None)
    except ValueError as error:
        raise ConfigError([f"{key}: {error}"]) from None


def _read_groups(path: Path, classes: Sequence[str]) -> list[list[int]]:
    """Class indices of each group of a YAML file `{group: [class names]}`."""
    try:
        named = read_yaml(path.read_text(encoding="utf-8"))
    except UnreadableError as error:
        raise ConfigError([f"analysis.groups: {path} {error}"]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"analysis.groups: {path} is not readable as YAML: {error}"]) from None
    if not isinstance(named, dict) or not all(isinstance(members, list) for members in named.values()):
        raise ConfigError([f"analysis.groups: {path} must map each group's name to a list of class names"])
    positions = {name: index for index, name in enumerate(classes)}
    unknown = [str(name) for members in named.values() for name in members if str(name) not in positions]
    if unknown:
        raise ConfigError(
            [f"analysis.groups: {path}: unknown class {unknown[0]!r}; {did_you_mean(unknown[0], classes)}"]
        )
    return [[positions[str(name)] for name in members] for members in named.values()]


def find_similarity(context: Context) -> Similarity:
    """S1 and S2: given ones (see `given_similarity`), else the teachers' geometry.

    The unsmoothed teacher decides, so that the students have no say; without one, the least smoothed teacher does, and
    the evidence is marked as weaker. Where there are several seeds of that teacher, the mean of their relative
    distances decides for the whole study: students of all teacher seeds are measured against the same classes, and none
    of them against classes that its own teacher alone has chosen.
    """
    given = given_similarity(context.config, context.data)
    if given is not None:
        return given
    alpha = least_smoothed(context.plan.teachers).label_smoothing
    deciding = [teacher for teacher in context.plan.teachers if teacher.label_smoothing == alpha]
    centroids = [found for teacher in deciding if (found := read_centroids(context, teacher, "train")) is not None]
    m = context.config.analysis.similar or default_similar_count(context.data.num_classes)
    similar, dissimilar = similar_classes(centroids, m)
    source = f"geometry of the teacher with α = {alpha:g}"
    if len(deciding) > 1:
        source = f"mean geometry of the {len(deciding)} teachers with α = {alpha:g}"
    return Similarity(similar, dissimilar, source, alpha != 0, m)


def least_smoothed(teachers: Sequence[Teacher]) -> Teacher:
    """The least smoothed teacher, of the first seed: the unsmoothed one where there is one."""
    return min(teachers, key=lambda teacher: teacher.label_smoothing)


def write_similarity(context: Context, similarity: Similarity) -> None:
    """Write S1 and S2 by class index, for the report."""

    def members(mask: torch.Tensor) -> dict[str, list[int]]:
        return {str(i): mask[i].nonzero().flatten().tolist() for i in range(len(mask))}

    write_json(
        context.directory.analysis / "similarity.json",
        {
            "source": similarity.source,
            "weaker_evidence": similarity.weaker_evidence,
            "m": similarity.m,
            "classes": list(context.data.classes),
            "similar": members(similarity.similar),
            "dissimilar": members(similarity.dissimilar),
        },
    )


def reference_cell(cell: Cell, grid: Sequence[Cell]) -> Cell:
    """The student at T₀ that a cell is compared with: same teacher, student and seed; `hinton` where it is in the grid.

    T₀ is 1 if that is in the grid, else the lowest temperature. Taken from the whole grid, finished or not: a student
    that failed must not give its seed another T₀ than the others have.
    """
    siblings = [c for c in grid if (c.teacher, c.student, c.seed) == (cell.teacher, cell.student, cell.seed)]
    lowest = reference_temperature(c.temperature for c in siblings)
    at_lowest = [c for c in siblings if c.temperature == lowest]
    return next((c for c in at_lowest if c.objective == "hinton"), at_lowest[0])


def diffusion_tables(
    context: Context, similarity: Similarity, done: Mapping[str, Cell]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """η of every finished cell, as means over classes and per class (declared form only)."""
    rows, class_rows = [], []
    names = context.data.classes
    for split in ("train", "val"):
        found = {name: read_centroids(context, cell, split) for name, cell in done.items()}
        for name, cell in done.items():
            reference = reference_cell(cell, context.plan.cells)
            raised, base = found[name], found.get(reference.name)
            if raised is None or base is None:
                continue
            reliable = bool((raised.counts >= RELIABLE_SAMPLES).all())
            for normalisation, debiased in product(NORMALISATIONS, (False, True)):
                s1, s2 = (
                    diffusion_index(base, raised, mask, debias=debiased, normalisation=normalisation)
                    for mask in (similarity.similar, similarity.dissimilar)
                )
                rows.append(
                    {
                        "cell": name,
                        "objective": cell.objective,
                        "label_smoothing": cell.label_smoothing,
                        "temperature": cell.temperature,
                        "student": cell.student,
                        "seed": cell.seed,
                        "teacher_seed": cell.teacher_seed,
                        "split": split,
                        "normalisation": normalisation,
                        "debiased": debiased,
                        "reference_temperature": reference.temperature,
                        "eta_s1": float(torch.nanmean(s1)),
                        "eta_s2": float(torch.nanmean(s2)),
                        "reliable": reliable,
                    }
                )
                if normalisation == "mean_distance" and not debiased:
                    class_rows += [
                        {
                            "objective": cell.objective,
                            "label_smoothing": cell.label_smoothing,
                            "temperature": cell.temperature,
                            "student": cell.student,
                            "seed": cell.seed,
                            "teacher_seed": cell.teacher_seed,
                            "split": split,
                            "class_index": index,
                            "class_name": names[index],
                            "eta_s1": float(s1[index]),
                            "eta_s2": float(s2[index]),
                        }
                        for index in range(len(names))
                    ]
    return pd.DataFrame(rows), pd.DataFrame(class_rows)


def summarise_diffusion(table: pd.DataFrame) -> pd.DataFrame:
    """Mean, 95 % t-interval and exact sign-flip p over units, for η_S1, η_S2, η_S1 − η_S2 and the contrast to α = 0.

    The unit is the seed, or the teacher seed (see `units`); `n` counts units.
    """
    keys = [key for key in SETTING if key in table] if len(table) else SETTING
    if table.empty:
        return pd.DataFrame(columns=[*keys, "quantity", "n", "mean", "low", "high", "p"])
    table = table.assign(difference=table.eta_s1 - table.eta_s2)
    table = table.assign(contrast=less_unsmoothed(table, "difference"))
    quantities = {"eta_s1": "eta_s1", "eta_s2": "eta_s2", "eta_s1-eta_s2": "difference", "contrast": "contrast"}
    units = by_unit(table, list(quantities.values()), keys, unit=unit_of(table))
    rows = []
    for setting, part in units.groupby(keys):
        for quantity, column in quantities.items():
            numbers = part[column][np.isfinite(part[column])].to_numpy()
            if len(numbers) == 0 or (quantity == "contrast" and (part.label_smoothing == 0).all()):
                continue
            interval = t_interval(numbers)
            p = sign_flip_test(numbers).p if len(numbers) > 1 and np.any(numbers != 0) else float("nan")
            rows.append(
                {
                    **dict(zip(keys, setting, strict=True)),
                    "quantity": quantity,
                    "n": interval.n,
                    "mean": interval.mean,
                    "low": interval.low,
                    "high": interval.high,
                    "p": p,
                }
            )
    return pd.DataFrame(rows)


def analyse_diffusion(context: Context, similarity: Similarity, done: Mapping[str, Cell]) -> pd.DataFrame:
    """Write all diffusion tables; return η per cell."""
    write_similarity(context, similarity)
    table, classes = diffusion_tables(context, similarity, done)
    write_csv(context.directory.analysis / "diffusion.csv", table)
    write_csv(context.directory.analysis / "diffusion_classes.csv", classes)
    write_csv(context.directory.analysis / "diffusion_summary.csv", summarise_diffusion(table))
    return table
