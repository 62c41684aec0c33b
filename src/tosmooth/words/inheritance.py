"""Whether students inherit their teachers' calibration, in words."""

from __future__ import annotations

import pandas as pd

from tosmooth.losses.objectives import has_temperature
from tosmooth.words.numbers import fixed, signed
from tosmooth.words.wording import Facts


def inheritance_sentence(facts: Facts, table: pd.DataFrame) -> str:
    """The verdict, with the gaps of the teachers and of their students.

    Args:
        facts: of `advice.inheritance.judge_inheritance`.
        table: `analysis/inheritance.csv`, from `advice.inheritance.inheritance_table`.
    """
    if facts["verdict"] == "inconclusive":
        if facts["reason"] == "too few":
            return "Too few seeds to tell whether calibration is inherited: train at least three, better six."
        pair = "students of a smoothed and of an unsmoothed teacher"
        return f"Whether calibration is inherited cannot be told: it takes {pair}."
    judged = table[table.relation != ""]
    if facts["verdict"] == "nothing to inherit":
        gap = fixed(100 * judged.teacher_gap.abs().max(), 1)
        return f"The teachers hardly differ in calibration (by {gap} points of ECE), so there is nothing to inherit."
    able = judged[judged.relation != "nothing to inherit"]
    varied = tuple(key for key in ("objective", "student") if able[key].nunique() > 1)
    inherited, turned = (able[able.relation == relation] for relation in ("inherited", "reversed"))
    if facts["verdict"] == "mixed":
        return (
            f"Calibration is inherited in some settings and turned round in others: {_gaps(inherited, varied)}; "
            f"but {_gaps(turned, varied)}."
        )
    if facts["verdict"] == "not shown":
        return f"It is not shown that calibration is inherited: {_gaps(able, varied)}, not beyond chance."
    own = turned if facts["verdict"] == "opposite" else inherited
    others = len(able) - len(own)
    tail = f" In {others} of {len(able)} settings no gap beyond chance is shown." if others else ""
    head = {
        "opposite": "Calibration is turned round, not inherited",
        "shown": "Calibration is inherited",
        "in part": "Calibration is inherited in part",
    }[facts["verdict"]]
    return f"{head}: {_gaps(own, varied)}.{tail}"


def _gaps(rows: pd.DataFrame, varied: tuple[str, ...]) -> str:
    """The teachers' gap and the students', from the setting with the largest gap and the one with the smallest."""
    ordered = rows.sort_values("gap", key=lambda gaps: gaps.abs(), kind="stable")
    most, least = ordered.iloc[-1], ordered.iloc[0]
    teachers = f"the ECE of the teacher with α = {most.label_smoothing:g} is {_points(most.teacher_gap)}"
    text = f"{teachers} from the unsmoothed one's, its students' {_points(most.gap)} {_at(most, varied)}"
    return text if len(ordered) == 1 else f"{text} and {_points(least.gap)} {_at(least, varied)}"


def _points(gap: float) -> str:
    return f"{signed(100 * gap, 1)} points"


def _at(row: pd.Series, varied: tuple[str, ...]) -> str:
    if not has_temperature(row.objective):
        return f"with {row.objective}" + (f" and {row.student}" if "student" in varied else "")
    named = " and ".join(str(row[key]) for key in varied)
    return f"at T = {row.temperature:g}" + (f" with {named}" if named else "")
