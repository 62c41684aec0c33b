"""The answer in words, from facts."""

from __future__ import annotations

from typing import Any

import pytest

from tosmooth.tasks.metric import TOP1
from tosmooth.words.answer import Answer, answers, basis, headline
from tosmooth.words.wording import Wording

CHOSEN = {"objective": "hinton", "label_smoothing": 0.1, "temperature": 2.0, "student": "resnet8"}
PLAIN = CHOSEN | {"label_smoothing": 0.0}


def facts(**changed: Any) -> dict[str, Any]:
    gap = {"behind": 0.7, "behind_low": 0.2, "behind_high": 1.1}
    rows = [
        CHOSEN | {"mean": 87.64, "low": 87.5, "high": 87.78, "n": 6, "behind": 0.0, "relation": "best"},
        PLAIN | {"mean": 86.97, "low": 86.8, "high": 87.1, "n": 6, "relation": "worse"} | gap,
    ]
    return {
        "split": "test", "metric": "test/top1", "margin": 0.5, "unit": "seed", "units": 6, "teachers": 1,
        "samples": 5000, "chosen": CHOSEN, "settings": rows, "contradicted": False, "risk": 0.08,
        "teacher": {"verdict": "better", "objective": "cross_entropy", "label_smoothing": 0.0, "mean": 86.6,
                    "low": 86.3, "high": 86.9, "n": 6,
                    "difference": 1.0, "difference_low": 0.7, "difference_high": 1.3},
        "smooth": {"verdict": "yes", "smoothed": CHOSEN | {"behind": 0.0}, "unsmoothed": PLAIN | {"behind": 0.7}} | gap,
        "temperature": {"label_smoothing": 0.1, "as_good": [2.0], "open": [64.0], "behind": [1.0], "unlike": []},
        "settle": {"kind": "teachers"},
    } | changed  # fmt: skip


def told(found: dict[str, Any], wording: Wording | None = None) -> dict[str, Answer]:
    return {one.key: one for one in answers(found, wording or Wording(TOP1))}


def smooth(verdict: str) -> dict[str, Any]:
    found = facts()["smooth"] | {"verdict": verdict}
    if verdict == "no":  # then the unsmoothed side leads
        found |= {"smoothed": CHOSEN | {"behind": 0.7}, "unsmoothed": PLAIN | {"behind": 0.0}}
    return found


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({}, "With these teachers: smooth the teacher (α = 0.1). Distil at T = 2: 87.6 ± 0.1 % test top-1 over "
         "6 seeds."),
        ({"teachers": 3}, "Smooth the teacher (α = 0.1). Distil at T = 2: 87.6 ± 0.1 % test top-1 over 6 seeds."),
        (
            {"smooth": smooth("open")},
            "Whether to smooth the teacher is not settled. Best so far: the smoothed teacher (α = 0.1) at T = "
            "2: 87.6 ± "
            "0.1 % test top-1 over 6 seeds.",
        ),
        (
            {"smooth": smooth("open"), "chosen": PLAIN},  # it is behind on test
            "Whether to smooth the teacher is not settled. Validation chose the unsmoothed teacher (α = 0) at T = 2: "
            "87.0 ± 0.1 % test top-1 over 6 seeds.",
        ),
        (
            {"smooth": smooth("does not matter"), "teachers": 3},
            "Smoothing the teacher does not matter. Distil from the smoothed teacher (α = 0.1) at T = 2: 87.6 ± "
            "0.1 % test "
            "top-1 over 6 seeds.",
        ),
        (
            {"smooth": {"verdict": "not asked"}},
            "Distil from the smoothed teacher (α = 0.1) at T = 2: 87.6 ± 0.1 % test top-1 over 6 seeds.",
        ),
        (
            {"teacher": {"verdict": "worse", "label_smoothing": 0.0}, "teachers": 3},
            "Train without a teacher: the teacher does harm here. Smooth the teacher (α = 0.1). Distil at T = "
            "2: 87.6 ± "
            "0.1 % test top-1 over 6 seeds.",
        ),
    ],
)  # fmt: skip
def test_the_headline_says_what_to_do(changed: dict[str, Any], sentence: str):
    assert headline(facts(**changed), Wording(TOP1)) == sentence


def test_the_headline_names_what_varies_and_owns_up_to_a_preview():
    wording = Wording(TOP1, varied=("objective", "student"), rates=(0.3, 0.9), preview=True)
    assert headline(facts(teachers=2, learning_rate=0.9), wording) == (
        "Preview, too short to conclude from. Smooth the teacher (α = 0.1). Distil into resnet8 at T = 2 with hinton, "
        "learning rate 0.9: 87.6 ± 0.1 % test top-1 over 6 seeds."
    )


@pytest.mark.parametrize(
    ("verdict", "words", "sentence"),
    [
        ("better", "Yes", "+1.0 points (+0.7 to +1.3) against training without a teacher (86.6 ± 0.3 %)."),
        ("worse", "No", "−1.0 points (−1.3 to −0.7) against training without a teacher (86.6 ± 0.3 %): the student is "
         "better without."),
        ("open", "Not settled", "+1.0 points (+0.7 to +1.3) against training without a teacher (86.6 ± 0.3 %), which "
         "6 seeds cannot tell from chance."),
        ("as good", "It makes no difference", "+1.0 points (+0.7 to +1.3) against training without a teacher "
         "(86.6 ± 0.3 %), within the margin of 0.5 points."),
    ],
)  # fmt: skip
def test_is_a_teacher_worth_it(verdict: str, words: str, sentence: str):
    loss = {"difference": -1.0, "difference_low": -1.3, "difference_high": -0.7} if verdict == "worse" else {}
    teacher = facts()["teacher"] | {"verdict": verdict} | loss
    found = told(facts(teacher=teacher))["teacher"]
    assert (found.verdict, found.sentence) == (words, sentence)
    if verdict == "worse":  # of a choice that test contradicts, nothing is said against teachers
        other = facts(teacher=teacher, contradicted=True)
        assert told(other)["teacher"].verdict == "Not this one"
        assert "does harm" not in headline(other, Wording(TOP1))
        assert headline(facts(teacher=teacher), Wording(TOP1)).startswith(
            "Train without a teacher: the teacher does harm"
        )


@pytest.mark.parametrize(
    ("verdict", "words", "sentence"),
    [
        ("yes", "Yes", "The best without smoothing, the unsmoothed teacher (α = 0) at T = 2, is 0.7 points behind "
         "(+0.2 to +1.1)."),
        ("no", "No", "The best with smoothing, the smoothed teacher (α = 0.1) at T = 2, is 0.7 points behind "
         "(+0.2 to +1.1)."),
        ("open", "Not settled", "The smoothed teacher (α = 0.1) at T = 2 leads on test; the unsmoothed teacher (α = 0) "
         "at T = 2 "
         "is 0.7 points behind (+0.2 to +1.1)."),
        ("does not matter", "It does not matter", "The best of either side is as good as the other within 0.5 points: "
         "the unsmoothed teacher (α = 0) at T = 2 is 0.7 points behind (+0.2 to +1.1)."),
    ],
)  # fmt: skip
def test_smooth_the_teacher(verdict: str, words: str, sentence: str):
    one, several = (told(facts(smooth=smooth(verdict), teachers=number))["smooth"] for number in (1, 3))
    assert (several.verdict, several.sentence) == (words, sentence)
    assert one.sentence == f"{sentence} This is about these teachers: another pair, trained alike, may differ."


@pytest.mark.parametrize(
    ("good", "left", "behind", "unlike", "words", "sentence"),
    [
        ([2.0], [64.0], [1.0], [], "T = 2 and 64", "Either may be the best; T = 1 is worse."),
        ([2.0], [], [1.0, 64.0], [], "T = 2", "T = 1 and 64 are worse."),
        ([1.0, 2.0, 64.0], [], [], [], "It does not matter", "T = 1, 2 and 64 are as good as one another."),
        ([1.0], [2.0, 64.0], [], [], "Not settled", "T = 1, 2 and 64 are not told apart."),
        ([1.0], [64.0], [2.0], [64.0], "T = 1 and 64", "Either may be the best; T = 2 is worse. At T = 64 "
         "students were not "
         "trained as far as at T = 1: nothing is said against it."),
    ],
)  # fmt: skip
def test_which_temperature(good, left, behind, unlike, words, sentence):
    temperature = {"label_smoothing": 0.1, "as_good": good, "open": left, "behind": behind, "unlike": unlike}
    found = told(facts(temperature=temperature))["temperature"]
    assert (found.verdict, found.sentence) == (words, sentence)


def test_no_temperature_is_told_where_another_teacher_is_left():
    temperature = {"label_smoothing": 0.1, "as_good": [], "open": [], "behind": [1.0, 2.0], "unlike": []}
    assert "temperature" not in told(facts(temperature=temperature))


def test_where_the_splits_disagree_both_are_told_with_the_gap():
    rows = facts()["settings"]
    rows[0] |= {"relation": "worse", "behind": 0.7, "behind_low": 0.2, "behind_high": 1.1}
    rows[1] |= {"relation": "best"}
    assert headline(facts(contradicted=True, settings=rows), Wording(TOP1)) == (
        "The splits disagree. Validation chose the smoothed teacher (α = 0.1) at T = 2: 87.6 ± 0.1 % test top-1 over 6 "
        "seeds; there the unsmoothed teacher (α = 0) at T = 2 is 0.7 points better."
    )


def test_what_would_settle_it_is_said_so_that_it_can_be_typed():
    settle = {"kind": "units", "number": 2}
    crossed = told(facts(unit="teacher seed", settle=settle))["settle"].sentence
    assert crossed == "About 2 more teacher seeds (teacher.seeds)."
    paired = told(facts(unit="teacher seed", settle=settle, paired=True))["settle"].sentence
    assert paired == "About 2 more teacher seeds (teacher.seeds and student.seeds, or --until-sure)."


def test_the_papers_rule_was_not_chosen_on_validation():
    rows = facts()["settings"]
    rows[0] |= {"relation": "worse", "behind": 0.7, "behind_low": 0.2, "behind_high": 1.1}
    rows[1] |= {"relation": "best"}
    found = facts(validated=False, contradicted=True, settings=rows)
    start = "The paper's rule does not hold here. It is the smoothed teacher (α = 0.1) at T = 2: "
    assert headline(found, Wording(TOP1)).startswith(start)
    assert headline(found, Wording(TOP1)).endswith("0.7 points better.")
    assert told(found)["contradiction"].question == "Does the paper's rule hold?"
    assert "Validation" not in told(found)["contradiction"].sentence


def test_one_temperature_was_not_asked():
    temperature = {"label_smoothing": 0.1, "as_good": [2.0], "open": [], "behind": [], "unlike": []}
    assert "temperature" not in told(facts(temperature=temperature))


@pytest.mark.parametrize(
    ("settle", "sentence"),
    [
        ({"kind": "units", "number": 4}, "About 4 more seeds (student.seeds)."),
        ({"kind": "units", "number": None}, "In student.seeds; how many cannot be told."),
        ({"kind": "training"}, "Settings that were not trained as far as the others: longer training, or more "
         "student.learning_rates."),
        ({"kind": "samples"}, "No number of seeds settles it: test has too few images."),
        ({"kind": "teachers"}, "Two more teachers of each kind (teacher.seeds=[0,1,2]) would say whether this "
         "holds for "
         "new ones."),
    ],
)  # fmt: skip
def test_what_would_settle_the_rest(settle: dict[str, Any], sentence: str):
    assert told(facts(settle=settle))["settle"].sentence == sentence
    assert "settle" not in told(facts(settle={"kind": "nothing"}))


def test_a_risk_that_rounds_to_nothing_is_said_to_be_small():
    assert told(facts(risk=0.001))["risk"].verdict == "less than 0.1 points"
    assert "risk" not in told(facts(risk=None))


def test_a_contradiction_comes_first():
    row = facts()["settings"]
    turned = [row[0] | {"relation": "worse", "behind": 0.7, "behind_low": 0.2, "behind_high": 1.1},
              row[1] | {"relation": "best"}]  # fmt: skip
    first = answers(facts(contradicted=True, settings=turned), Wording(TOP1))[0]
    assert first.sentence == (
        "Validation chose the smoothed teacher (α = 0.1) at T = 2; on test data it is 0.7 points behind (+0.2 to +1.1) "
        "the unsmoothed teacher (α = 0) at T = 2. The choice stays as it was frozen."
    )


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({}, "On test data, read once, after the choice was frozen on validation. Intervals are of 95 % over 6 "
         "seeds, for "
         "new seeds and for new images of the same kind (5,000 here)."),
        ({"samples": None, "split": "val"}, "On validation data, the split that chose as well, so all of it is "
         "slightly "
         "optimistic. Intervals are of 95 % over 6 seeds, for new seeds; the images are taken as they are."),
        ({"units": 1}, "One seed, on test data, read once, after the choice was frozen on validation: differences are "
         "those of these very students."),
        ({"validated": False, "samples": None}, "On test data, with nothing chosen on data: the setting is the paper's "
         "rule's. Intervals are of 95 % over 6 seeds, for new seeds; the images are taken as they are."),
    ],
)  # fmt: skip
def test_what_it_rests_on(changed: dict[str, Any], sentence: str):
    assert basis(facts(**changed), Wording(TOP1)) == sentence


def test_what_is_not_known_of_the_teacher_is_not_said():
    wording = Wording(TOP1, smoothing="unknown")
    text = headline(facts(smooth={"verdict": "not asked"}), wording)
    assert "smoothed teacher" not in text
    assert "its label smoothing is not known" in text


@pytest.mark.parametrize("verdict", ["open", "does not matter"])
def test_where_both_sides_are_left_the_temperature_is_that_of_the_named_teacher(verdict: str):
    found = told(facts(smooth=smooth(verdict)))["temperature"]
    assert found.sentence.startswith("Under the smoothed teacher (α = 0.1): ")
    assert not told(facts(smooth=smooth("yes")))["temperature"].sentence.startswith("Under")
