from __future__ import annotations

import pytest

from tests.fake_study.tables import results_table
from tosmooth.advice.comparisons import scores_by_seed
from tosmooth.advice.consequence import Witness, judge_consequence

pytestmark = pytest.mark.rule("R12")


def judged(score, shown=((0.1, 2.0), (0.1, 64.0)), **kwargs):
    return judge_consequence(scores_by_seed(results_table(score, **kwargs), "val/top1"), shown, "hinton", "resnet8")


def test_accuracy_that_falls_together_with_diffusion():
    found = judged(lambda a, t: 88.0 - 2.0 * (a > 0 and t == 64))
    assert (found["verdict"], found["at"], found["diffuses"]) == ("loss", [0.1, 64.0], True)
    assert (found["reference_temperature"], found["unit"], found["missing"]) == (1.0, "seed", [])
    strongest = next(row for row in found["rows"] if row["temperature"] == 64)
    assert strongest["mean"] == pytest.approx(-2, abs=0.3)
    assert strongest["low"] < -2 < strongest["high"]


def test_a_fall_without_diffusion_is_not_put_down_to_it():
    found = judged(lambda a, t: 88.0 - 2.0 * (a > 0 and t == 64), shown=())
    assert (found["verdict"], found["diffuses"]) == ("loss", False)


def test_what_raising_t_costs_both_teachers_students_alike_is_no_consequence_of_smoothing():
    assert judged(lambda a, t: 88.0 - 2.0 * (t == 64))["verdict"] == "none"


def test_a_gain_is_said():
    assert judged(lambda a, t: 88.0 + 2.0 * (a > 0 and t == 64))["verdict"] == "gain"


def test_two_seeds_no_unsmoothed_teacher_or_one_temperature_say_nothing():
    nothing = {"verdict": None, "rows": []}
    assert judged(lambda a, t: 88.0, seeds=2) == nothing
    table = results_table(lambda a, t: 88.0)
    for part in (table[table.label_smoothing > 0], table[table.temperature == 1]):
        assert judge_consequence(scores_by_seed(part, "val/top1"), [(0.1, 64.0)], "hinton", "resnet8") == nothing


def test_diffusion_elsewhere_does_not_explain_a_fall():
    found = judged(lambda a, t: 88.0 - 2.0 * (a > 0 and t == 64), shown=[(0.1, 2.0)])
    assert (found["verdict"], found["diffuses"]) == ("loss", False)


@pytest.mark.parametrize(
    ("errors", "d_prime", "missing"),
    [
        (2.0, -0.5, []),
        (0.0, -0.5, ["errors"]),
        (2.0, 0.5, ["separation"]),
        (0.0, 0.0, ["errors", "separation"]),
    ],
)
def test_diffusion_explains_a_fall_only_where_errors_and_separation_agree(
    errors: float, d_prime: float, missing: list[str]
):
    scores, landed, apart = (
        scores_by_seed(results_table(lambda a, t: base + change * (a > 0 and t == 64)), "val/top1")  # noqa: B023
        for base, change in ((88.0, -2.0), (5.0, errors), (3.0, d_prime))
    )
    witnesses = [Witness(landed, 1, "errors"), Witness(apart, -1, "separation")]
    found = judge_consequence(scores, [(0.1, 64.0)], "hinton", "resnet8", witnesses=witnesses)
    assert (found["verdict"], found["diffuses"], found["missing"]) == ("loss", True, missing)
