"""Systematic diffusion in words, from facts."""

from __future__ import annotations

from typing import Any

import pytest

from tosmooth.words.effect import effect_sentence
from tosmooth.words.wording import Wording

QUANTITIES = {"eta_s1": 0.1, "eta_s2": -0.02, "eta_s1-eta_s2": 0.12, "contrast": 0.11}


def etas(alpha: float, temperature: float, **means: float) -> list[dict[str, Any]]:
    place = {"label_smoothing": alpha, "temperature": temperature}
    return [
        place | {"quantity": quantity, "mean": mean, "low": mean - 0.01, "high": mean + 0.01, "n": 6}
        for quantity, mean in (QUANTITIES | means).items()
    ]


def facts(verdict: str, **changed: Any) -> dict[str, Any]:
    nothing: dict[str, Any] = {"unit": "seed", "shown": [], "opposed": [], "reason": None, "at": None}
    return {"verdict": verdict, **nothing, "eta": etas(0.1, 64.0)} | changed


def told(verdict: str, **changed: Any) -> str:
    return effect_sentence(facts(verdict, **changed), Wording())


def test_shown_with_its_eta():
    values = (
        "At T = 64, η is +0.100 (+0.090 to +0.110) towards similar and -0.020 (-0.030 to -0.010) towards dissimilar"
    )
    assert told("shown", shown=[[0.1, 64.0]]) == (
        "Systematic diffusion is shown at T = 64: students of the smoothed teacher move towards similar classes, and "
        f"more than under the unsmoothed teacher. {values} classes (α = 0.1, 6 seeds)."
    )


def test_without_an_unsmoothed_teacher_nothing_is_said_of_one():
    alone = [row for row in etas(0.1, 64.0) if row["quantity"] != "contrast"]
    text = told("shown", shown=[[0.1, 64.0]], eta=alone, unit="teacher seed")
    assert "unsmoothed" not in text
    assert "6 teacher seeds" in text


def test_mixed_names_both_and_the_strongest_of_each():
    several = [
        *etas(0.1, 64.0),
        *etas(0.05, 2.0, **{"eta_s1-eta_s2": -0.1}),
        *etas(0.05, 64.0, **{"eta_s1-eta_s2": -0.2}),
    ]
    text = told("mixed", shown=[[0.1, 64.0]], opposed=[[0.05, 2.0], [0.05, 64.0]], eta=several)
    assert "is shown at α = 0.1 (T = 64): students" in text
    assert "The opposite of systematic diffusion is found at α = 0.05 (T = 2 and 64): classes move away" in text
    assert text.endswith("(α = 0.05, 6 seeds).")


@pytest.mark.parametrize(
    ("reason", "means", "words"),
    [
        ("similar", {"eta_s1": 0.0}, "classes do not move towards the classes they resemble: η towards similar "
         "classes is +0.000 (95 % interval -0.010 to +0.010, 6 seeds). Yet they stay nearer to similar classes than "
         "students of the unsmoothed teacher (contrast +0.110, +0.100 to +0.120)."),
        ("dissimilar", {"eta_s1-eta_s2": 0.0, "contrast": 0.0}, "classes move no further towards similar than towards "
         "dissimilar ones: the difference in η is +0.000 (95 % interval -0.010 to +0.010, 6 seeds)."),
        ("unsmoothed", {"contrast": 0.005}, "students of the smoothed teacher drift no more than those of the "
         "unsmoothed one: the contrast is +0.005 (95 % interval -0.005 to +0.015, 6 seeds)."),
        ("correction", {}, "the signs agree with it, but not beyond chance once all temperatures are taken into "
         "account."),
    ],
)  # fmt: skip
def test_not_shown_says_which_condition_failed(reason: str, means: dict[str, float], words: str):
    head = "Your data does not show systematic diffusion. At T = 64 (α = 0.1), "
    assert told("not shown", reason=reason, at=[0.1, 64.0], eta=etas(0.1, 64.0, **means)) == head + words


def test_inconclusive_says_why():
    assert told("inconclusive", reason="too few", unit="teacher seed").startswith("Too few teacher seeds to tell")
    assert told("inconclusive", reason="no students").startswith("There is no student of a smoothed teacher")


def test_of_teachers_that_are_not_known_nothing_is_said():
    wording = Wording(smoothing="unknown", training="SGD at 0.1, 4 epochs")
    assert effect_sentence(facts("shown", shown=[[0.1, 64.0]]), wording) == (
        "Systematic diffusion is of students of smoothed teachers; it is not known whether the teacher was "
        "label-smoothed. Students: SGD at 0.1, 4 epochs."
    )
