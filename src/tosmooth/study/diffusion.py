"""The diffusion tables of a study, from the centroids its models left on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd
import torch

from tosmooth.advice.units import by_unit, less_unsmoothed, reference_temperature, unit_of
from tosmooth.analysis.centroids import ClassCentroids
from tosmooth.analysis.confusions import errors_on
from tosmooth.analysis.diffusion import NORMALISATIONS, diffusion_index
from tosmooth.analysis.inference import sign_flip_test, t_interval
from tosmooth.analysis.similarity import similar_classes
from tosmooth.errors import StudyError
from tosmooth.folder.judged import read_answers
from tosmooth.folder.paths import (
    CENTROIDS_FILE,
    DIFFUSION_CLASSES_FILE,
    DIFFUSION_FILE,
    DIFFUSION_SUMMARY_FILE,
    JUDGED_FILE,
)
from tosmooth.folder.remedies import made_again
from tosmooth.folder.sums import check_model_file
from tosmooth.folder.tensors import read_tensors
from tosmooth.folder.writing import write_csv
from tosmooth.losses.objectives import reference_objective
from tosmooth.study.context import Context
from tosmooth.study.plan import Cell, Teacher
from tosmooth.study.similarity import Similarity, complete_similarity, set_size, write_similarity

RELIABLE_SAMPLES = 20  # a class's centroid from fewer samples is marked unreliable
SETTING = ["objective", "student", "label_smoothing", "temperature", "split", "normalisation", "debiased"]


def read_centroids(context: Context, owner: Teacher | Cell, split: str) -> ClassCentroids | None:
    """The centroids of a model on "train" or "val"; None where the split was empty.

    Raises:
        StudyError: the file is missing or damaged.
    """
    folder = context.folder(owner)
    check_model_file(folder / CENTROIDS_FILE)
    tensors = read_tensors(folder / CENTROIDS_FILE, made_again(folder))
    own = {key.removeprefix(f"{split}."): value for key, value in tensors.items() if key.startswith(f"{split}.")}
    return ClassCentroids.from_state_dict(own) if own else None


def errors_of(context: Context, cell: Cell, similarity: Similarity) -> dict[str, float]:
    """What a student takes for similar and for dissimilar classes on validation, in percent of all samples; NaN where
    that was not kept: by earlier versions, without a validation split, of classes that are only some of the outputs.

    Raises:
        StudyError: the file is damaged.
    """
    answers, classes = read_answers(context.folder(cell), "val"), len(context.data.classes)
    if answers is None or context.data.class_outputs is not None:
        return {"errors_s1": float("nan"), "errors_s2": float("nan")}
    if answers.shape != (2, answers.shape[-1]) or not (int(answers.min()) >= -1 and int(answers.max()) < classes):
        file = context.folder(cell) / JUDGED_FILE
        raise StudyError(f"{file} is damaged: it holds other answers than of {classes} classes; delete it")
    predicted, labels = torch.tensor(answers)
    return {
        "errors_s1": errors_on(predicted, labels, similarity.similar),
        "errors_s2": errors_on(predicted, labels, similarity.dissimilar),
    }


def find_similarity(context: Context) -> Similarity:
    """S1 and S2 from the source that the configuration names (see `similarity`), by default the teachers' geometry.

    The unsmoothed teacher decides, so that the students have no say; without one, the least smoothed teacher does, and
    the evidence is marked as weaker. Where there are several seeds of that teacher, the mean of their relative
    distances decides for the whole study: students of all teacher seeds are measured against the same classes, and none
    of them against classes that its own teacher alone has chosen.
    """
    alpha = least_smoothed(context.plan.teachers).label_smoothing
    deciding = [teacher for teacher in context.plan.teachers if teacher.label_smoothing == alpha]
    centroids = [found for teacher in deciding if (found := read_centroids(context, teacher, "train")) is not None]
    m = set_size(context.config.analysis, context.data.num_classes)
    similar, dissimilar = similar_classes(centroids, m)
    source = f"geometry of the teacher with α = {alpha:g}"
    if len(deciding) > 1:
        source = f"mean geometry of the {len(deciding)} teachers with α = {alpha:g}"
    farthest = f"the {m} farthest classes, by the {source}"
    geometry = Similarity(similar, dissimilar, source, alpha != 0, m, farthest)
    return complete_similarity(context.config, context.data, geometry, centroids)


def least_smoothed(teachers: Sequence[Teacher]) -> Teacher:
    """The least smoothed teacher, of the first seed: the unsmoothed one where there is one."""
    return min(teachers, key=lambda teacher: teacher.label_smoothing)


def reference_cell(cell: Cell, grid: Sequence[Cell]) -> Cell:
    """The student at T₀ that a cell is compared with: same teacher, student and seed; `hinton` where it is in the grid,
    else the first objective that has a temperature.

    T₀ is 1 if that is in the grid, else the lowest temperature. Taken from the whole grid, finished or not: a student
    that failed must not give its seed another T₀ than the others have.
    """
    siblings = [c for c in grid if (c.teacher, c.student, c.seed) == (cell.teacher, cell.student, cell.seed)]
    lowest = reference_temperature(c.temperature for c in siblings)
    at_lowest = [c for c in siblings if c.temperature == lowest]
    objective = reference_objective(c.objective for c in at_lowest)
    return next(c for c in at_lowest if c.objective == objective)


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
            errors = errors_of(context, cell, similarity) if split == "val" else {}
            identity = {
                "objective": cell.objective,
                "label_smoothing": cell.label_smoothing,
                "temperature": cell.temperature,
                "student": cell.student,
                "seed": cell.seed,
                "teacher_seed": cell.teacher_seed,
                "split": split,
            }
            for normalisation, debiased in product(NORMALISATIONS, (False, True)):
                s1, s2 = (
                    diffusion_index(base, raised, mask, debias=debiased, normalisation=normalisation)
                    for mask in (similarity.similar, similarity.dissimilar)
                )
                rows.append(
                    {
                        "cell": name,
                        **identity,
                        "normalisation": normalisation,
                        "debiased": debiased,
                        "reference_temperature": reference.temperature,
                        "eta_s1": float(torch.nanmean(s1)),
                        "eta_s2": float(torch.nanmean(s2)),
                        "reliable": reliable,
                        **errors,
                    }
                )
                if normalisation == "mean_distance" and not debiased:
                    class_rows += [
                        {
                            **identity,
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
    write_similarity(context.directory.analysis, context.data.classes, similarity)
    table, classes = diffusion_tables(context, similarity, done)
    write_csv(context.directory.analysis / DIFFUSION_FILE, table)
    write_csv(context.directory.analysis / DIFFUSION_CLASSES_FILE, classes)
    write_csv(context.directory.analysis / DIFFUSION_SUMMARY_FILE, summarise_diffusion(table))
    return table
