"""What other objectives do to systematic diffusion, in words, from the rows of `objectives.csv`."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest

from tosmooth.tasks.metric import TOP1
from tosmooth.words.objectives import objective_sentences

ROW = {
    "student": "resnet8", "objective": "dkd", "label_smoothing": 0.1, "temperature": 64.0, "reference": "hinton",
    "n": 6, "reference_eta": 0.12, "eta": 0.01, "eta_low": 0.0, "eta_high": 0.02, "change": -0.11, "change_low": -0.12,
    "change_high": -0.1, "p": 0.01, "p_holm": 0.01, "top1_change": 1.0, "top1_low": 0.9, "top1_high": 1.1,
    "top1_p": 0.01, "top1_p_holm": 0.02, "verdict": "removes",
}  # fmt: skip
NUMBERS = "at T = 64 (α = 0.1): η similar − dissimilar is +0.010 against +0.120 with hinton: "
COST = " Validation top-1 against hinton there: +1.0 points (0.9 to 1.1, beyond chance)."


def told(*rows: dict[str, Any]) -> list[str]:
    return objective_sentences(pd.DataFrame([ROW | row for row in rows]), TOP1)


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("removes", "dkd removes systematic diffusion"),
        ("reduces", "dkd reduces systematic diffusion, but does not remove it,"),
        ("does not", "dkd does not remove systematic diffusion"),
        ("undecided", "dkd may or may not remove systematic diffusion"),
    ],
)
def test_each_verdict_has_its_sentence(verdict: str, words: str):
    interval = "-0.110, 95 % interval -0.120 to -0.100.".replace("-", "−")
    assert told({"verdict": verdict}) == [f"{words} {NUMBERS}{interval}{COST}"]


def test_more_of_it_without_any_and_too_few_seeds():
    (more,) = told({"verdict": "does not", "change": 0.1, "change_low": 0.05, "change_high": 0.15})
    assert "It adds to it." in more
    (without,) = told({"verdict": "no diffusion", "top1_p_holm": 0.4})
    assert without.startswith("dkd: there is nothing to remove at T = 64 (α = 0.1), as hinton shows no systematic")
    assert "not beyond chance" in without
    assert told({"n": 2}) == ["dkd: too few seeds to compare it with hinton at T = 64 (α = 0.1); train at least three."]
    (unmeasured,) = told(dict.fromkeys(("top1_change", "top1_low", "top1_p_holm"), math.nan))
    assert "top-1" not in unmeasured


def test_it_speaks_of_the_highest_temperature_at_which_the_reference_diffuses():
    (text,) = told({"temperature": 2.0}, {"verdict": "no diffusion"})
    assert "at T = 2 (α = 0.1)" in text
    small, large = told({}, {"student": "resnet20", "verdict": "no diffusion"})
    assert small.startswith("Student resnet8: dkd removes")
    assert large.startswith("Student resnet20: dkd: there is nothing to remove")
    assert objective_sentences(pd.DataFrame(), TOP1) == []
