"""Is calibration inherited? Do students of a teacher that is better (or worse) calibrated end up so themselves?

A rule fixed in advance. For each α > 0 the teachers' gap is ECE(α) − ECE(0). For each objective and T the students' gap
is the paired difference of their ECE at the same seeds, over units, with a paired t-test (Holm over all settings).
*Inherited* in a setting: the students' gap has the teachers' sign beyond chance. *Reversed*: the other sign. Teachers
whose ECE differs by less than half a point have nothing to pass on.
"""

from __future__ import annotations

from typing import Any, Literal

import pandas as pd

from tosmooth.advice.paired import adjusted, less_partner, over_units
from tosmooth.advice.units import FEWEST_SEEDS, SIGNIFICANCE, unit_of

Verdict = Literal["shown", "in part", "opposite", "mixed", "not shown", "nothing to inherit", "inconclusive"]
SAME_ECE = 0.005  # teachers' gaps below half a percentage point are no difference to inherit
SETTING = ["objective", "student", "label_smoothing", "temperature"]
COLUMNS = [*SETTING, "n", "teacher_ece", "teacher_gap", "ece", "gap", "low", "high", "p", "p_holm", "relation"]


def ece_column(results: pd.DataFrame, teachers: pd.DataFrame) -> str | None:
    """The column to judge by: the test split's where all have been read, else validation's, else None."""
    done = results[results.status == "done"]
    for column in ("cal/ece", "cal/ece_val"):
        if all(column in table and len(table) and table[column].notna().all() for table in (done, teachers)):
            return column
    return None


def inheritance_table(results: pd.DataFrame, teachers: pd.DataFrame) -> pd.DataFrame:
    """A row per objective, student, α and T: the students' ECE, and for α > 0 their gap beside the teachers'.

    Args:
        results: one row per cell, as in `results.csv`.
        teachers: one row per teacher, as in `teachers.csv`.

    Returns:
        Columns as in `COLUMNS`; no rows where calibration was not measured. ECE and gaps are shares, not percent.
    """
    column = ece_column(results, teachers)
    if column is None:
        return pd.DataFrame(columns=COLUMNS)
    cells = results[results.status == "done"].assign(ece=lambda table: table[column])
    cells["gap"] = less_partner(cells, "label_smoothing", 0.0, "ece")
    unit = unit_of(results)
    of_teachers = teachers.groupby("label_smoothing")[column].mean()
    rows: list[dict[str, Any]] = []
    for setting, part in cells.groupby(SETTING):
        alpha = float(part.label_smoothing.iloc[0])
        row: dict[str, Any] = dict(zip(SETTING, setting, strict=True))
        row |= {"teacher_ece": of_teachers.get(alpha, float("nan")), "ece": part.groupby(unit).ece.mean().mean()}
        row["n"] = part[unit].nunique()
        if alpha > 0 and 0.0 in of_teachers.index:
            gap = over_units(part, "gap", unit)
            row |= {"n": gap.n, "gap": gap.mean, "low": gap.low, "high": gap.high, "p": gap.p}
            row["teacher_gap"] = of_teachers[alpha] - of_teachers[0.0]
        rows.append(row)
    table = pd.DataFrame(rows).reindex(columns=COLUMNS)
    table["p_holm"] = adjusted(table.p.astype(float).tolist())
    table["relation"] = [_relation(row) for _, row in table.iterrows()]
    return table


def _relation(row: pd.Series) -> str:
    if pd.isna(row.gap) or row.label_smoothing == 0:
        return ""
    if abs(row.teacher_gap) < SAME_ECE:
        return "nothing to inherit"
    if row.n < FEWEST_SEEDS or not row.p_holm < SIGNIFICANCE:
        return "undecided"
    return "inherited" if row.gap * row.teacher_gap > 0 else "reversed"


def judge_inheritance(table: pd.DataFrame) -> dict[str, str]:
    """The verdict over all settings, from `inheritance_table`.

    Returns:
        `verdict`; of "inconclusive" also `reason`: "no pair" of a smoothed and an unsmoothed teacher, or "too few"
        seeds.
    """
    judged = table[table.relation != ""] if len(table) else table
    if not len(judged):
        return _found("inconclusive") | {"reason": "no pair"}
    able = judged[judged.relation != "nothing to inherit"]
    if not len(able):
        return _found("nothing to inherit")
    if able.n.max() < FEWEST_SEEDS:
        return _found("inconclusive") | {"reason": "too few"}
    relations = set(able.relation)
    if {"inherited", "reversed"} <= relations:
        return _found("mixed")
    if "reversed" in relations:
        return _found("opposite")
    if "inherited" not in relations:
        return _found("not shown")
    return _found("shown" if relations == {"inherited"} else "in part")


def _found(verdict: Verdict) -> dict[str, str]:
    return {"verdict": verdict}
