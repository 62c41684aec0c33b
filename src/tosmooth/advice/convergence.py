"""How far the students of each setting were trained: an effect of T has to be told from one of the step size.

T² keeps the gradients of soft targets near those of hard labels (Hinton et al. 2015), but not equal over T: at a high T
the gradient at the logits is about (z_s − z_t) / K, so it shrinks with the number of classes K and with a smoothed
teacher's small logits. At one learning rate for all, such students get less far in the same number of steps.

    way(setting) = 1 − (mean loss of the last epoch) / (loss of the untrained student on the first batch)

The loss of a student that answers as its teacher does is 0, so this is the share of the way that it has gone. It is
compared with that of T₀, at the same teacher's α, objective and student model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from tosmooth.advice.units import reference_temperature
from tosmooth.folder.columns import CONVERGENCE
from tosmooth.losses.objectives import has_temperature

# Settings were trained alike where one has gone at least this share of the other's way. Set on the default study, with
# SGD at two rates and with AdamW, before digits were looked at (docs/decisions.md).
ALIKE = 0.95
WITHIN = ["objective", "student", "label_smoothing"]  # what is compared over T


def convergence(results: pd.DataFrame) -> pd.DataFrame:
    """One row per setting with a temperature whose students say how far they came.

    Args:
        results: one row per cell, as in `results.csv`; those of earlier versions say nothing.

    Returns:
        `objective`, `student`, `label_smoothing`, `temperature`, means over the finished students: `gradient` (norm at
        the logits of a sample, before the first step), `way` (share, ≤ 1), `last_gain` (points of the validation figure
        in the last epoch); and against T₀ `gradient_to_reference`, `way_to_reference` (ratios; NaN without T₀) and
        `alike` (bool: trained as far as T₀'s, within `ALIKE`; also where that is not known).
    """
    columns = [*WITHIN, "temperature", "gradient", "way", "last_gain"]
    ratios = ["gradient_to_reference", "way_to_reference", "alike"]
    if not {*CONVERGENCE, "train/loss"} <= set(results.columns):
        return pd.DataFrame(columns=[*columns, *ratios])
    done = results[(results.status == "done") & results.objective.map(has_temperature)]
    done = done[done["train/first_loss"].notna() & (done["train/first_loss"] > 0)]
    if done.empty:
        return pd.DataFrame(columns=[*columns, *ratios])
    first, gradient, gain = CONVERGENCE
    rows = done.assign(way=1 - done["train/loss"] / done[first], gradient=done[gradient], last_gain=done[gain])
    means = rows.groupby([*WITHIN, "temperature"], as_index=False)[["gradient", "way", "last_gain"]].mean()
    reference = means[means.temperature == reference_temperature(results.temperature)]
    against = means[WITHIN].merge(reference[[*WITHIN, "gradient", "way"]], on=WITHIN, how="left")
    means["gradient_to_reference"] = means.gradient / against.gradient
    means["way_to_reference"] = means.way / against.way
    means["alike"] = [_alike(ratio) for ratio in means.way_to_reference]
    return means


def _alike(ratio: float) -> bool:
    return math.isnan(ratio) or ALIKE <= ratio <= 1 / ALIKE


def not_alike(found: pd.DataFrame, objective: str, student: str) -> dict[tuple[float, float], float]:
    """The (α, T) of one objective and student model that were not trained as far as T₀ was, and the ratio."""
    own = found[(found.objective == objective) & (found.student == student) & ~found.alike.astype(bool)]
    return {(row.label_smoothing, row.temperature): float(row.way_to_reference) for row in own.itertuples()}


def farthest_off(settings: Mapping[tuple[float, float], float]) -> dict[str, float] | None:
    """Of settings (α, T) and their ratios to the way gone at T₀, the one farthest from alike; None of none."""
    if not settings:
        return None
    (alpha, temperature), ratio = max(settings.items(), key=lambda item: abs(math.log(max(item[1], 1e-6))))
    return {"label_smoothing": alpha, "temperature": temperature, "way_to_reference": ratio}


def convergence_caveats(results: pd.DataFrame, objective: str) -> list[dict[str, Any]]:
    """The caveat "not trained alike" of each student model that has such settings, with the one farthest off."""
    found, reference = convergence(results), reference_temperature(results.temperature)
    caveats = []
    for student in dict.fromkeys(found.student):
        off = not_alike(found, objective, student)
        if farthest := farthest_off(off):
            told = {"code": "not trained alike", "settings": len(off), "reference_temperature": reference}
            caveats.append(told | farthest)
    return caveats
