"""Does the paper's rule hold here: a smoothed teacher, and T = 1?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import pandas as pd

from tosmooth.advice.caveats import Rules
from tosmooth.advice.comparisons import KEY, Evidence, compare_with
from tosmooth.advice.units import Setting, reference_temperature
from tosmooth.losses.objectives import has_temperature

# "best", "tied", "worse", "undecided": how the best setting that follows the rule stands. Else why nothing says so: no
# student has a temperature, or none follows the rule; its teacher may be smoothed or not; nothing may choose here.
Verdict = Literal[
    "best", "tied", "worse", "undecided", "no temperature", "no students", "smoothing unknown", "not checked"
]
AGREES = {"best": True, "tied": True, "worse": False}


def judge_rule(
    best: Setting,
    scores: pd.DataFrame,
    comparisons: list[dict[str, Any]],
    rules: Rules,
    evidence: Mapping[Setting, Evidence],
) -> dict[str, Any]:
    """The paper's rule among the settings that have a T: it says nothing of sequence-level distillation.

    Returns:
        `verdict`; `agrees`: whether the rule holds, None where that is open; `temperature`: its T, which is 1, or the
        lowest where the grid has no 1; `behind`: mean, low, high and n of what the rule costs, in points, where it is
        not the best. Where a setting without a temperature is the best of all, the rule is judged among the others, and
        `overall` is the row of `comparisons` of its own best setting, None where there is none.
    """
    if rules.smoothing == "unknown":
        return rule_of("smoothing unknown")
    tempered = scores[[has_temperature(setting[0]) for setting in scores.index]]
    if tempered.empty:
        return rule_of("no temperature")
    if has_temperature(best[0]):
        return _rule(best, [row for row in comparisons if has_temperature(row["objective"])])
    own: Setting = rules.metric.best(tempered.mean(axis=1))
    found = _rule(own, compare_with(own, tempered, rules.margin, evidence, rules.metric))
    lowest = reference_temperature(setting[2] for setting in tempered.index)
    row = _following((row for row in comparisons if has_temperature(row["objective"])), lowest)
    overall = row and {key: row[key] for key in (*KEY, "difference", "low", "high", "n", "relation")}
    return found | {"overall": overall}


def rule_of(verdict: Verdict) -> dict[str, Any]:
    """The facts of a verdict without numbers."""
    return {"verdict": verdict, "agrees": AGREES.get(verdict)}


def _rule(best: Setting, comparisons: list[dict[str, Any]]) -> dict[str, Any]:
    """How the rule stands against the best of the settings that have a temperature, from comparisons with it."""
    lowest = reference_temperature(row["temperature"] for row in comparisons)
    row = _following(comparisons, lowest)
    told = {"temperature": lowest}
    if row is None:
        return rule_of("no students") | told
    if best[1] > 0 and best[2] == lowest:
        return rule_of("best") | told
    behind = {"mean": row["difference"], "low": row["low"], "high": row["high"], "n": row["n"]}
    return rule_of(row["relation"]) | told | {"behind": behind}


def _following(rows: Iterable[dict[str, Any]], lowest: float) -> dict[str, Any] | None:
    """The best setting that follows the rule: under a smoothed teacher, at the lowest T."""
    own = [row for row in rows if row["label_smoothing"] > 0 and row["temperature"] == lowest]
    return min(own, key=lambda row: row["difference"]) if own else None
