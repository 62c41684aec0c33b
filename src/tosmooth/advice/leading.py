"""Which objective the questions about temperature are asked of: sequence-level distillation has none.

Students of `sequence` (Kim and Rush, 2016) learn the teacher's translations as labels. Their rows carry T₀, since a row
must carry something; they are no distillation at T₀, so rules and figures about T leave them out.
"""

from __future__ import annotations

from collections.abc import Iterable

from tosmooth.config_types import SEQUENCE


def has_temperature(objective: object) -> bool:
    """Whether students of that objective were distilled at a temperature."""
    return objective != SEQUENCE


def leading_objective(objectives: Iterable[str]) -> str:
    """The first with a temperature; the first where none has one; `hinton` where there is none at all."""
    found = list(objectives)
    return next(filter(has_temperature, found), found[0] if found else "hinton")


def reference_objective(objectives: Iterable[str]) -> str:
    """What others are compared with: `hinton` where it is among them, else the first with a temperature."""
    found = list(objectives)
    return "hinton" if "hinton" in found else leading_objective(found)
