"""Which T to distil at: as told, or as the audit's advice has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tosmooth.analysis.label_smoothing import Verdict

CANDIDATES = (1.0, 2.0, 4.0)  # where validation chooses: the paper's unsmoothed teachers were at their best from 1 to 3

UNCHOSEN = 2.0  # where it cannot: better than 1, or within 0.4 points of it, in all of the paper's unsmoothed rows


@dataclass(frozen=True)
class Temperatures:
    """The temperatures for one teacher, and why."""

    values: tuple[float, ...]
    why: str


def temperatures_for(verdict: Verdict, told: Sequence[float] | None, *, validated: bool) -> Temperatures:
    """The temperatures to distil a teacher at.

    Args:
        verdict: of its audit, or of who trained it.
        told: what the user asked for; None: the advice decides.
        validated: whether there is a validation split to choose by.
    """
    if told is not None:
        one = "T as asked for" if len(told) == 1 else "the temperatures asked for; validation chooses"
        return Temperatures(tuple(told), one)
    if verdict == "smoothed":
        return Temperatures((1.0,), "T = 1, as the teacher is label-smoothed (the paper's rule)")
    if verdict == "undecided":
        return Temperatures((1.0,), "T = 1: until it is known whether the teacher was smoothed, a raised T is a risk")
    if not validated:
        return Temperatures(
            (UNCHOSEN,),
            f"T = {UNCHOSEN:g}, as the teacher is not label-smoothed and there is no validation split to choose T by",
        )
    shown = ", ".join(f"{value:g}" for value in CANDIDATES)
    return Temperatures(CANDIDATES, f"T of {shown} by validation, as the teacher is not label-smoothed")


def warning(teacher: str, temperatures: Sequence[float]) -> str | None:
    """The warning about a smoothed teacher that meets a raised T; None where none of these is raised."""
    raised = [value for value in temperatures if value > 1]
    if not raised:
        return None
    return (
        f"{teacher} is label-smoothed and meets T = {', '.join(f'{value:g}' for value in raised)}: in the paper, "
        "students of smoothed teachers drifted towards similar classes and lost accuracy when T rose. Compare with "
        "T = 1"
    )
