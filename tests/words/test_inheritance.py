"""Whether calibration is inherited, in words."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from tosmooth.words.inheritance import inheritance_sentence

NONE = float("nan")


def table(*gaps: tuple[float, str], teacher: float = 0.04, **changed: Any) -> pd.DataFrame:
    """A row per gap of the students, as a share, with its relation; and one of the unsmoothed teacher's students."""
    plain = {"label_smoothing": 0.0, "temperature": 1.0, "teacher_gap": NONE, "gap": NONE, "relation": ""}
    rows = [
        {"label_smoothing": 0.1, "temperature": 2.0**place, "teacher_gap": teacher, "gap": gap, "relation": relation}
        for place, (gap, relation) in enumerate(gaps)
    ]
    return pd.DataFrame([plain, *rows]).assign(**{"objective": "hinton", "student": "resnet8"} | changed)


@pytest.mark.parametrize(
    ("verdict", "gaps", "sentence"),
    [
        ("shown", [(0.03, "inherited"), (0.02, "inherited")], "Calibration is inherited: the ECE of the teacher with "
         "α = 0.1 is +4.0 points from the unsmoothed one's, its students' +3.0 points at T = 1 and +2.0 points at T "
         "= 2."),
        ("in part", [(0.03, "inherited"), (0.0, "undecided")], "Calibration is inherited in part: the ECE of the "
         "teacher with α = 0.1 is +4.0 points from the unsmoothed one's, its students' +3.0 points at T = 1. In 1 "
         "of 2 settings no gap beyond chance is shown."),
        ("opposite", [(-0.03, "reversed")], "Calibration is turned round, not inherited: the ECE of the teacher with "
         "α = 0.1 is +4.0 points from the unsmoothed one's, its students' −3.0 points at T = 1."),
        ("mixed", [(0.03, "inherited"), (-0.03, "reversed")], "Calibration is inherited in some settings and turned "
         "round in others: the ECE of the teacher with α = 0.1 is +4.0 points from the unsmoothed one's, its "
         "students' +3.0 points at T = 1; but the ECE of the teacher with α = 0.1 is +4.0 points from the "
         "unsmoothed one's, its students' −3.0 points at T = 2."),
        ("not shown", [(0.001, "undecided")], "It is not shown that calibration is inherited: the ECE of the "
         "teacher with α = 0.1 is +4.0 points from the unsmoothed one's, its students' +0.1 points at T = 1, not "
         "beyond chance."),
    ],
)  # fmt: skip
def test_each_verdict_has_its_sentence(verdict: str, gaps: list[tuple[float, str]], sentence: str):
    assert inheritance_sentence({"verdict": verdict}, table(*gaps)) == sentence


def test_without_a_verdict_it_says_why():
    same = table((0.03, "nothing to inherit"), teacher=0.003)
    assert "(by 0.3 points of ECE)" in inheritance_sentence({"verdict": "nothing to inherit"}, same)
    for reason, words in (
        ("too few", "Too few seeds to tell"),
        ("no pair", "it takes students of a smoothed and of an"),
    ):
        facts = {"verdict": "inconclusive", "reason": reason}
        assert words in inheritance_sentence(facts, table((0.03, "undecided")))


def test_several_objectives_and_students_are_named():
    both = pd.concat([table((0.03, "inherited")), table((0.03, "inherited"), objective="dkd")])
    assert "at T = 1 with dkd" in inheritance_sentence({"verdict": "shown"}, both)
    models = pd.concat([both, both.assign(student="resnet20")])
    assert "with dkd and resnet20" in inheritance_sentence({"verdict": "shown"}, models)
