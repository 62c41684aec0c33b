"""Whether the paper's rule holds in a study, in words."""

from __future__ import annotations

from tosmooth.words.numbers import count_of, interval_of
from tosmooth.words.settings import SEQUENCE_WORDS, describe, written
from tosmooth.words.students import of_students
from tosmooth.words.teachers import UNKNOWN
from tosmooth.words.wording import Facts, Wording

WITHOUT_NUMBERS = {
    "no temperature": "The paper's rule is about temperatures: no student of this grid has one.",
    "smoothing unknown": f"The paper's rule could not be checked: {UNKNOWN}.",
    "not checked": "The paper's rule was applied, not checked.",
}


def rule_sentence(facts: Facts, wording: Wording) -> str:
    """How the paper's rule stands, with the points that it costs.

    Args:
        facts: `rule` of `analysis/advice.json`.
        wording: of the study.
    """
    if facts["verdict"] in WITHOUT_NUMBERS:
        return WITHOUT_NUMBERS[facts["verdict"]]
    overall = _overall(facts["overall"], wording) if facts.get("overall") else ""
    return _judged(facts) + overall + of_students(wording.training)


def _judged(facts: Facts) -> str:
    name = f"The paper's rule (smoothed teacher, T = {facts['temperature']:g})"
    among, the_best = "", ""
    if facts.get("overall"):
        among = " among the settings with a temperature"
        the_best = f" the best{among}"
    if facts["verdict"] == "no students":
        return f"{name} could not be checked: the grid has no such students."
    if facts["verdict"] == "best":
        return f"{name} holds on your data: it is the best setting{among} by validation."
    if facts["verdict"] == "tied":
        return f"{name} is as good as the best{among} here, within the stated margin."
    behind = interval_of(facts["behind"])
    if facts["verdict"] == "worse":
        return f"{name} does not hold on your data: it is {written(behind)} points behind{the_best}."
    return (
        f"{name} is not settled by {count_of(behind.n, 'run')}: it is {written(behind)} points behind the best{among}, "
        "which may be chance."
    )


def _overall(row: Facts, wording: Wording) -> str:
    """How the rule's own best setting stands against the best of all, which has no temperature."""
    clear = {"worse": "beyond chance", "tied": "a tie within the stated margin"}.get(
        row["relation"], "not told apart from chance"
    )
    gap = interval_of({**row, "mean": row["difference"]})
    return (
        f" It says nothing of {SEQUENCE_WORDS}, which has no temperature and is the best here: "
        f"{describe(row, (), wording.smoothing)} is {written(gap)} points behind that ({clear})."
    )
