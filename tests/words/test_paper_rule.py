"""The paper's rule in words, from facts."""

from __future__ import annotations

from typing import Any

import pytest

from tosmooth.words.paper_rule import rule_sentence
from tosmooth.words.wording import Wording

BEHIND = {"mean": 1.94, "low": 1.85, "high": 2.03, "n": 6}
OVERALL = {
    "objective": "hinton", "label_smoothing": 0.1, "temperature": 1.0, "student": "resnet8", "difference": 4.0,
    "low": 3.91, "high": 4.09, "n": 6, "relation": "worse",
}  # fmt: skip
NAME = "The paper's rule (smoothed teacher, T = 1)"


def told(verdict: str, wording: Wording | None = None, **changed: Any) -> str:
    return rule_sentence({"verdict": verdict, "temperature": 1.0, "behind": BEHIND} | changed, wording or Wording())


@pytest.mark.parametrize(
    ("verdict", "sentence"),
    [
        ("best", f"{NAME} holds on your data: it is the best setting by validation."),
        ("tied", f"{NAME} is as good as the best here, within the stated margin."),
        ("worse", f"{NAME} does not hold on your data: it is 1.94 ± 0.09 points behind."),
        (
            "undecided",
            f"{NAME} is not settled by 6 runs: it is 1.94 ± 0.09 points behind the best, which may be chance.",
        ),
        ("no students", f"{NAME} could not be checked: the grid has no such students."),
    ],
)
def test_each_verdict_has_its_sentence(verdict: str, sentence: str):
    assert told(verdict) == sentence
    assert told(verdict, Wording(training="SGD at 0.1, 4 epochs")) == f"{sentence} Students: SGD at 0.1, 4 epochs."


@pytest.mark.parametrize(
    ("verdict", "sentence"),
    [
        ("no temperature", "The paper's rule is about temperatures: no student of this grid has one."),
        ("smoothing unknown", "The paper's rule could not be checked: it is not known whether the teacher was "
         "label-smoothed."),
        ("not checked", "The paper's rule was applied, not checked."),
    ],
)  # fmt: skip
def test_what_could_not_be_judged_is_not_about_any_students(verdict: str, sentence: str):
    assert rule_sentence({"verdict": verdict}, Wording(training="SGD at 0.1, 4 epochs")) == sentence


def test_where_the_best_of_all_has_no_temperature():
    assert told("worse", overall=OVERALL) == (
        f"{NAME} does not hold on your data: it is 1.94 ± 0.09 points behind the best among the settings with a "
        "temperature. It says nothing of sequence-level distillation, which has no temperature and is the best "
        "here: the smoothed teacher (α = 0.1) at T = 1 is 4.00 ± 0.09 points behind that (beyond chance)."
    )
    found = told("best", overall=OVERALL | {"relation": "undecided"})
    assert "it is the best setting among the settings with a temperature by validation." in found
    assert found.endswith("(not told apart from chance).")
    assert told("no students", overall=None).endswith("the grid has no such students.")
