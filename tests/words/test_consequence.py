"""What raising T costs, in words, from facts."""

from __future__ import annotations

from typing import Any

import pytest

from tosmooth.tasks.translation import BLEU
from tosmooth.words.consequence import consequence_sentence
from tosmooth.words.wording import Wording

ROW = {"label_smoothing": 0.1, "temperature": 64.0, "mean": -2.0, "low": -2.4, "high": -1.6, "n": 6, "alike": True}
COST = (
    "from T = 1 to 64, smoothing the teacher (α = 0.1) changes what raising T does by -2.0 points (95 % interval "
    "-2.4 to -1.6, 6 seeds)"
)
OFF = {"label_smoothing": 0.1, "temperature": 2.0, "way_to_reference": 0.4}


def facts(verdict: str | None, **changed: Any) -> dict[str, Any]:
    return {
        "verdict": verdict, "rows": [ROW], "reference_temperature": 1.0, "unit": "seed", "farthest_off": None,
        "at": [0.1, 64.0], "diffuses": True, "missing": [],
    } | changed  # fmt: skip


@pytest.mark.parametrize(
    ("verdict", "changed", "sentence"),
    [
        ("loss", {}, f"Accuracy falls with it, as the paper says: {COST}."),
        ("loss", {"diffuses": False}, f"Accuracy falls all the same: {COST}. What costs accuracy here is not shown "
         "to be diffusion."),
        ("loss", {"missing": ["errors"]}, "Accuracy falls as classes diffuse, but errors on similar classes do not "
         f"rise with it: {COST}. Diffusion is not shown to be why."),
        ("loss", {"missing": ["errors", "separation"]}, "Accuracy falls as classes diffuse, but errors on similar "
         f"classes do not rise with it and similar classes do not get harder to tell apart (d′): {COST}. Diffusion "
         "is not shown to be why."),
        ("gain", {}, f"Accuracy does not fall with it: {COST}."),
        ("gain", {"diffuses": False}, f"Accuracy does not fall either: {COST}."),
        ("none", {}, f"It is not shown to cost accuracy: {COST}."),
        ("none", {"diffuses": False}, f"Nor is it shown that smoothing changes what raising T does to accuracy: "
         f"{COST}."),
        ("none", {"rows": [], "at": None}, ""),
    ],
)  # fmt: skip
def test_each_verdict_has_its_sentence(verdict: str, changed: dict[str, Any], sentence: str):
    assert consequence_sentence(facts(verdict, **changed), Wording()) == sentence


def test_it_is_said_of_the_metric_and_of_what_students_were_trained_with():
    text = consequence_sentence(facts("loss"), Wording(BLEU, training="Adam at 0.001, 1 epoch"))
    assert text.startswith("BLEU falls with it")
    assert text.endswith("6 seeds; Adam at 0.001, 1 epoch).")


def test_what_was_not_trained_alike_is_left_out_or_nothing_is_said():
    rows = [ROW, ROW | {"temperature": 2.0, "alike": False}]
    assert consequence_sentence(facts("loss", rows=rows, farthest_off=OFF), Wording()).endswith(
        " Left out, as not trained alike: (α, T) = (0.1, 2); the students at α = 0.1, T = 2 have gone 40 % of the way "
        "that those at T = 1 went."
    )
    none = facts(None, rows=rows[1:], farthest_off=OFF | {"way_to_reference": -0.1})
    assert consequence_sentence(none, Wording(training="SGD at 0.1, 4 epochs")) == (
        "What raising T does to accuracy cannot be told from what the learning rate does: the students at α = 0.1, "
        "T = 2 have got no nearer to their teacher's answers, and those at T = 1 have (SGD at 0.1, 4 epochs)."
    )
