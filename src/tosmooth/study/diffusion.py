"""The diffusion tables of a study, from the centroids its models left on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
import torch
import yaml
from safetensors.torch import load_file

from tosmooth.analysis.centroids import ClassCentroids
from tosmooth.analysis.diffusion import NORMALISATIONS, diffusion_index
from tosmooth.analysis.inference import sign_flip_test, t_interval
from tosmooth.analysis.similarity import default_similar_count, masks_from_groups, similar_classes
from tosmooth.errors import ConfigError
from tosmooth.study.context import Context
from tosmooth.study.directory import write_csv, write_json
from tosmooth.study.plan import Cell, Teacher

RELIABLE_SAMPLES = 20  # a class's centroid from fewer samples is marked unreliable
SETTING = ["objective", "label_smoothing", "temperature", "split", "normalisation", "debiased"]


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


def find_similarity(context: Context) -> Similarity:
    """S1 and S2: the user's groups, the data set's super-classes where asked for, else a teacher's geometry.

    The unsmoothed teacher decides, so that the students have no say; without one, the first teacher does, and the
    evidence is marked as weaker.

    Raises:
        ConfigError: the groups name unknown classes, or super-classes are asked for and the data has none.
    """
    section, classes = context.config.analysis, context.data.classes
    count = len(classes)
    if section.groups is not None:
        named = yaml.safe_load(section.groups.read_text(encoding="utf-8"))
        positions = {name: index for index, name in enumerate(classes)}
        unknown = [str(name) for members in named.values() for name in members if name not in positions]
        if unknown:
            raise ConfigError([f"analysis.groups: {section.groups} names unknown classes: {', '.join(unknown[:5])}"])
        groups = [[positions[name] for name in members] for members in named.values()]
        return Similarity(*masks_from_groups(groups, count), f"groups of {section.groups.name}", False, None)
    if section.superclasses:
        names = context.data.superclasses
        if names is None:
            raise ConfigError([f"analysis.superclasses: the source {context.data.source!r} has no super-classes"])
        groups = [[i for i, other in enumerate(names) if other == name] for name in sorted(set(names))]
        return Similarity(*masks_from_groups(groups, count), "super-classes of the data set", False, None)
    teacher = min(context.plan.teachers, key=lambda t: (t.label_smoothing != 0, t.label_smoothing))
    centroids = read_centroids(context, teacher, "train")
    assert centroids is not None
    m = section.similar or default_similar_count(count)
    similar, dissimilar = similar_classes(centroids.centroids, m)
    source = f"geometry of the teacher with α = {teacher.label_smoothing:g}"
    return Similarity(similar, dissimilar, source, teacher.label_smoothing != 0, m)


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


def reference_cell(cell: Cell, cells: Mapping[str, Cell]) -> Cell | None:
    """The student at T₀ that a cell is compared with: same teacher, student and seed; `hinton` where it is in the grid.

    T₀ is 1 if that is in the grid, else the lowest temperature.
    """
    siblings = [c for c in cells.values() if (c.teacher, c.student, c.seed) == (cell.teacher, cell.student, cell.seed)]
    temperatures = {c.temperature for c in siblings}
    lowest = 1.0 if 1.0 in temperatures else min(temperatures)
    at_lowest = [c for c in siblings if c.temperature == lowest]
    return next((c for c in at_lowest if c.objective == "hinton"), at_lowest[0] if at_lowest else None)


def diffusion_tables(
    context: Context, similarity: Similarity, done: Mapping[str, Cell]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """η of every finished cell, as means over classes and per class (declared form only)."""
    rows, class_rows = [], []
    names = context.data.classes
    for split in ("train", "val"):
        found = {name: read_centroids(context, cell, split) for name, cell in done.items()}
        for name, cell in done.items():
            reference = reference_cell(cell, done)
            raised = found[name]
            base = found[reference.name] if reference else None
            if reference is None or raised is None or base is None:
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
                        "seed": cell.seed,
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
                            "seed": cell.seed,
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
    """Mean, 95 % t-interval and exact sign-flip p over seeds, for η_S1, η_S2, η_S1 − η_S2 and the contrast to α = 0."""
    if table.empty:
        return pd.DataFrame(columns=[*SETTING, "quantity", "n", "mean", "low", "high", "p"])
    table = table.assign(difference=table.eta_s1 - table.eta_s2)
    keys = [key for key in SETTING if key != "label_smoothing"]
    plain = table[table.label_smoothing == 0].set_index([*keys, "seed"]).difference
    rows = []
    for setting, part in table.groupby(SETTING):
        values = {"eta_s1": part.eta_s1, "eta_s2": part.eta_s2, "eta_s1-eta_s2": part.difference}
        if setting[1] != 0 and len(plain):
            against = part.set_index([*keys, "seed"]).difference.sub(plain).dropna()
            values["contrast"] = against
        for quantity, series in values.items():
            numbers = series[np.isfinite(series)].to_numpy()
            if len(numbers) == 0:
                continue
            interval = t_interval(numbers)
            p = sign_flip_test(numbers).p if len(numbers) > 1 and np.any(numbers != 0) else float("nan")
            rows.append(
                {
                    **dict(zip(SETTING, setting, strict=True)),
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
