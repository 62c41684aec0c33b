"""Does the paper's rule hold here: a smoothed teacher, and T = 1?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from tosmooth.advice.caveats import Rules
from tosmooth.advice.comparisons import Evidence, compare_with
from tosmooth.advice.units import Setting, reference_temperature
from tosmooth.analysis.inference import Interval
from tosmooth.losses.objectives import has_temperature
from tosmooth.words.numbers import count_of
from tosmooth.words.settings import SEQUENCE_WORDS, describe, written


def judge_rule(
    best: Setting,
    scores: pd.DataFrame,
    comparisons: list[dict[str, Any]],
    rules: Rules,
    evidence: Mapping[Setting, Evidence],
) -> dict[str, Any]:
    """The paper's rule among the settings that have a T: it says nothing of sequence-level distillation.

    Where such a setting is the best, the rule is judged among the others, and it is said how its own best setting
    stands against the best of all.
    """
    tempered = scores[[has_temperature(setting[0]) for setting in scores.index]]
    if tempered.empty:
        text = "The paper's rule is about temperatures: no student of this grid has one."
        return {"agrees": None, "sentence": text}
    if has_temperature(best[0]):
        return _rule(best, [row for row in comparisons if has_temperature(row["objective"])])
    own: Setting = rules.metric.best(tempered.mean(axis=1))
    against = compare_with(own, tempered, rules.margin, evidence, rules.metric)
    found = _rule(own, against, "among the settings with a temperature")
    lowest = reference_temperature(setting[2] for setting in tempered.index)
    following = [
        row
        for row in comparisons
        if has_temperature(row["objective"]) and row["label_smoothing"] > 0 and row["temperature"] == lowest
    ]
    if not following:
        return found
    row = min(following, key=lambda r: r["difference"])
    gap = Interval(row["difference"], row["low"], row["high"], row["n"])
    clear = {"worse": "beyond chance", "tied": "a tie within the stated margin"}.get(
        row["relation"], "not told apart from chance"
    )
    sentence = (
        f"{found['sentence']} It says nothing of {SEQUENCE_WORDS}, which has no temperature and is the best here: "
        f"{describe(row)} is {written(gap)} points behind that ({clear})."
    )
    return {"agrees": found["agrees"], "sentence": sentence}


def _rule(best: Setting, comparisons: list[dict[str, Any]], where: str = "") -> dict[str, Any]:
    """Does the paper's rule (smoothed teacher, T = 1, or the lowest T where the grid has no 1) hold here?

    Args:
        best: the best setting of those that are compared.
        comparisons: with it; settings that have a temperature alone.
        where: among which settings the best one is the best, where that is not all of them.
    """
    lowest = reference_temperature(row["temperature"] for row in comparisons)
    following = [row for row in comparisons if row["label_smoothing"] > 0 and row["temperature"] == lowest]
    name = f"The paper's rule (smoothed teacher, T = {lowest:g})"
    among, best_among = (f" {where}", f" the best {where}") if where else ("", "")
    if not following:
        return {"agrees": None, "sentence": f"{name} could not be checked: the grid has no such students."}
    if best[1] > 0 and best[2] == lowest:
        return {"agrees": True, "sentence": f"{name} holds on your data: it is the best setting{among} by validation."}
    row = min(following, key=lambda r: r["difference"])
    gap = Interval(row["difference"], row["low"], row["high"], row["n"])
    if row["relation"] == "tied":
        return {"agrees": True, "sentence": f"{name} is as good as the best{among} here, within the stated margin."}
    if row["relation"] == "worse":
        return {
            "agrees": False,
            "sentence": f"{name} does not hold on your data: it is {written(gap)} points behind{best_among}.",
        }
    return {
        "agrees": None,
        "sentence": f"{name} is not settled by {count_of(row['n'], 'run')}: it is {written(gap)} points behind the "
        f"best{among}, which may be chance.",
    }
