"""What other objectives do to systematic diffusion, in words."""

from __future__ import annotations

import math

import pandas as pd

from tosmooth.advice.objectives import KEY, speaking_row
from tosmooth.advice.units import FEWEST_SEEDS, SIGNIFICANCE
from tosmooth.losses.objectives import has_temperature
from tosmooth.tasks.metric import Metric
from tosmooth.words.numbers import fixed, listed, signed


def objective_sentences(table: pd.DataFrame, metric: Metric) -> list[str]:
    """One sentence for each other objective and student model; of one without a temperature, one for all teachers.

    Args:
        table: `analysis/objectives.csv`, from `advice.objectives.compare_objectives`; may be empty.
        metric: of the study.
    """
    if table.empty:
        return []
    found, several = [], table.student.nunique() > 1
    for (objective, student), rows in table.groupby(KEY, sort=False):
        whose = f"Student {student}: " if several else ""
        tempered = has_temperature(objective)
        found.append(whose + (_sentence(speaking_row(rows), metric) if tempered else _sentence_at_base(rows, metric)))
    return found


def _sentence(row: pd.Series, metric: Metric) -> str:
    where = f"at T = {row.temperature:g} (α = {row.label_smoothing:g})"
    if row.n < FEWEST_SEEDS:
        return f"{row.objective}: too few seeds to compare it with {row.reference} {where}; train at least three."
    if row.verdict == "no diffusion":
        return (
            f"{row.objective}: there is nothing to remove {where}, as {row.reference} shows no systematic diffusion "
            f"there.{_cost(row, metric)}"
        )
    numbers = (
        f"η similar − dissimilar is {signed(row.eta, 3)} against {signed(row.reference_eta, 3)} with {row.reference}: "
        f"{signed(row.change, 3)}, 95 % interval {signed(row.change_low, 3)} to {signed(row.change_high, 3)}"
    )
    verb = {
        "removes": "removes systematic diffusion",
        "reduces": "reduces systematic diffusion, but does not remove it,",
        "does not": "does not remove systematic diffusion",
        "undecided": "may or may not remove systematic diffusion",
    }[row.verdict]
    more = " It adds to it." if row.verdict == "does not" and row.change_low > 0 else ""
    return f"{row.objective} {verb} {where}: {numbers}.{more}{_cost(row, metric)}"


def _sentence_at_base(rows: pd.DataFrame, metric: Metric) -> str:
    """What an objective without a temperature gains or loses against the reference at T₀, teacher by teacher."""
    first = rows.iloc[0]
    head = f"{first.objective}, which has no temperature, against {first.reference} at T = {first.temperature:g}: "
    parts = []
    known = rows[rows.top1_change.notna()]
    if len(known):
        gaps = [_gap(row) for _, row in known.iterrows()]
        parts.append(f"validation {metric.words} is {listed(gaps)}")
    etas = [
        f"{signed(row.eta, 3)}{_within(row.change_low, row.change_high, 3)} for α = {row.label_smoothing:g}"
        for _, row in rows.iterrows()
    ]
    parts.append(f"η similar − dissimilar between the two is {listed(etas)}")
    return head + "; ".join(parts) + "."


def _gap(row: pd.Series) -> str:
    side = "above" if row.top1_change >= 0 else "below"
    if math.isnan(row.top1_low):
        chance = " (one seed)"
    elif math.isnan(row.top1_p):
        chance = _within(row.top1_low, row.top1_high, 1, ", too few seeds to tell from chance")
    else:
        clear = "beyond chance" if row.top1_p_holm < SIGNIFICANCE else "not beyond chance"
        chance = _within(row.top1_low, row.top1_high, 1, f", {clear}")
    return f"{fixed(abs(row.top1_change), 1)} points {side} it{chance} for α = {row.label_smoothing:g}"


def _within(low: float, high: float, decimals: int, more: str = "") -> str:
    return "" if math.isnan(low) else f" (95 % interval {fixed(low, decimals)} to {fixed(high, decimals)}{more})"


def _cost(row: pd.Series, metric: Metric) -> str:
    """What it does to the validation figures at the same α and T, and whether that is beyond chance."""
    if math.isnan(row.top1_low):
        return ""
    clear = "beyond chance" if row.top1_p_holm < SIGNIFICANCE else "not beyond chance"
    return (
        f" Validation {metric.words} against {row.reference} there: {signed(row.top1_change, 1)} points "
        f"({fixed(row.top1_low, 1)} to {fixed(row.top1_high, 1)}, {clear})."
    )
