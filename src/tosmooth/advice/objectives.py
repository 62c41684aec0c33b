"""Does another objective remove systematic diffusion at a raised temperature? An answer by a rule fixed in advance.

Only for studies with several objectives. Each other objective is compared with the reference (`hinton`; where that is
not in the grid, its first objective with a temperature) at the same α, T and seeds, on students of smoothed teachers.
All η are measured against the reference at T₀, so they have one zero. Two paired differences are taken: in
η_S1 − η_S2 (declared form), and in the validation figures of the study's metric (columns `top1_*`, also where that is
BLEU). The paired t-tests are Holm-corrected over all objectives, α and T.

`sequence` has no temperature to raise: its students are compared with the reference's at T₀, of every teacher, and what
their η says is how far translations as labels move classes by themselves.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import pandas as pd

from tosmooth.advice.effect import declared, judge_effect
from tosmooth.advice.paired import Paired, adjusted, less_partner, over_units
from tosmooth.advice.units import FEWEST_SEEDS, SIGNIFICANCE, unit_of
from tosmooth.losses.objectives import has_temperature, reference_objective
from tosmooth.tasks.metric import TOP1, Metric

Verdict = Literal["removes", "reduces", "does not", "undecided", "no diffusion", "no temperature"]
LEFT = 0.2  # "removes": of the reference's η_S1 − η_S2, no more than this share may be left (upper 95 % limit)
TAKEN = 0.5  # "does not": the interval excludes that as much as this share is taken away
SETTING = ["objective", "label_smoothing", "temperature"]
KEY = ["objective", "student"]  # each student model is a question of its own
COLUMNS = [
    "student", *SETTING, "reference", "n", "reference_eta", "eta", "eta_low", "eta_high", "change", "change_low",
    "change_high", "p", "p_holm", "top1_change", "top1_low", "top1_high", "top1_p", "top1_p_holm", "verdict",
]  # fmt: skip


def compare_objectives(
    diffusion: pd.DataFrame, results: pd.DataFrame, objectives: list[str], metric: Metric = TOP1
) -> pd.DataFrame:
    """A row for each other objective, smoothed teacher and raised temperature; of `sequence`, each teacher at T₀.

    Args:
        diffusion: the table `analysis/diffusion.csv`.
        results: one row per cell, as in `results.csv`; test columns are not looked at.
        objectives: of the study, in its order.
        metric: of the study; the columns `top1_*` are about it, in its points.

    Returns:
        Columns as in `COLUMNS`; no rows where there is only one objective, or nothing was measured.
    """
    nothing = pd.DataFrame(columns=COLUMNS)
    if len(objectives) < 2 or diffusion.empty:
        return nothing
    reference = reference_objective(objectives)
    found = []
    for student, own in results.groupby("student", sort=False):
        of_student = diffusion[diffusion.cell.isin(own.cell)]
        rows = _compare(of_student, own, objectives, reference, unit_of(results), metric.val)
        found += [{"student": student, **row} for row in rows]
    if not found:
        return nothing
    table = pd.DataFrame(found)
    table["p_holm"] = adjusted(table.p.tolist())
    table["top1_p_holm"] = adjusted(table.top1_p.tolist())
    table["verdict"] = [_verdict(row) for _, row in table.iterrows()]
    return table.reindex(columns=COLUMNS)


def _compare(
    diffusion: pd.DataFrame, results: pd.DataFrame, objectives: list[str], reference: str, unit: str, column: str
) -> list[dict[str, Any]]:
    """The rows of one student model, before corrections and verdicts."""
    raised = pd.concat([declared(diffusion, name) for name in objectives])
    # What has no temperature to raise stands beside the reference at T₀, whatever the teacher.
    still = [name for name in objectives if not has_temperature(name) and name != reference]
    at_base = [declared(diffusion, name, raised=False) for name in (reference, *still) if still]
    forms = pd.concat([raised[raised.label_smoothing > 0], *at_base])
    known = [c for c in ("cell", "student", "teacher_seed", column) if c in results]
    cells = forms[["cell", *SETTING, "seed", "difference"]].merge(results[known], on="cell", how="left")
    if cells.empty:
        return []
    cells["change"] = less_partner(cells, "objective", reference, "difference")
    has_validation = column in cells and cells[column].notna().any()
    if has_validation:
        cells["top1_change"] = less_partner(cells, "objective", reference, column)
    diffuses = {alpha: _diffuses(diffusion, reference, alpha) for alpha in cells.label_smoothing.unique()}
    rows: list[dict[str, Any]] = []
    for name in objectives:
        of_name = cells[(cells.objective == name) & cells.change.notna()]
        if name == reference:
            continue
        for (alpha, temperature), part in of_name.groupby(["label_smoothing", "temperature"]):
            eta, change = over_units(part, "difference", unit), over_units(part, "change", unit)
            top1 = over_units(part, "top1_change", unit) if has_validation else None
            row = {
                "objective": name, "label_smoothing": alpha, "temperature": temperature, "reference": reference,
                "n": change.n, "reference_eta": eta.mean - change.mean, "eta": eta.mean, "eta_low": eta.low,
                "eta_high": eta.high, "change": change.mean, "change_low": change.low, "change_high": change.high,
                "p": change.p, "diffuses": has_temperature(name) and temperature in diffuses[alpha],
            }  # fmt: skip
            rows.append(row | _top1(top1))
    return rows


def _diffuses(diffusion: pd.DataFrame, reference: str, alpha: float) -> set[float]:
    """Temperatures at which the reference's students of the teacher with α show systematic diffusion."""
    effect = judge_effect(diffusion[diffusion.label_smoothing.isin([0.0, alpha])], reference)
    return {temperature for _, temperature in effect.shown}


def _top1(found: Paired | None) -> dict[str, float]:
    if found is None:
        return {"top1_change": math.nan, "top1_low": math.nan, "top1_high": math.nan, "top1_p": math.nan}
    return {"top1_change": found.mean, "top1_low": found.low, "top1_high": found.high, "top1_p": found.p}


def _verdict(row: pd.Series) -> Verdict:
    if not has_temperature(row.objective):
        return "no temperature"
    if row.n < FEWEST_SEEDS:
        return "undecided"
    if not row.diffuses:
        return "no diffusion"
    if row.p_holm < SIGNIFICANCE and row.change < 0:
        return "removes" if row.eta_high <= LEFT * row.reference_eta else "reduces"
    more = row.p_holm < SIGNIFICANCE and row.change > 0
    return "does not" if more or row.change_low > -TAKEN * row.reference_eta else "undecided"


def judge_objectives(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The verdict on each other objective and student model, and the α and T that it was found at.

    Args:
        table: from `compare_objectives`.
    """
    rows = [speaking_row(own) for _, own in table.groupby(KEY, sort=False)]
    return [{key: row[key] for key in (*KEY, "verdict", "label_smoothing", "temperature")} for row in rows]


def speaking_row(rows: pd.DataFrame) -> pd.Series:
    """Of one objective and student model, the row with the highest T (and α) at which the reference diffuses.

    Where it diffuses at none, the highest T; all rows of an objective without a temperature are at T₀.
    """
    diffusing = rows[rows.verdict != "no diffusion"]
    found: pd.Series = (diffusing if len(diffusing) else rows).sort_values(["temperature", "label_smoothing"]).iloc[-1]
    return found
