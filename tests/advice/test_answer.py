"""The answer on constructed tables: each question, and when it stays open."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.fake_study.tables import diffusion_table, results_table, teacher_rows
from tosmooth.advice.advise import advise, answer_of, conclude
from tosmooth.advice.answer import answer
from tosmooth.advice.caveats import Rules
from tosmooth.advice.units import Setting
from tosmooth.tasks.metric import TOP1, Metric

Score = Callable[[float, float], float]
SMOOTHED: Setting = ("hinton", 0.1, 1.0, "resnet8")
PLAIN: Setting = ("hinton", 0.0, 1.0, "resnet8")
NONE = pd.DataFrame()


def controls(mean: float, *, seeds: int = 6, noise: float = 0.1, alpha: float = 0.0) -> pd.DataFrame:
    spread = np.random.default_rng(7).normal(size=seeds)
    values = mean + noise * (spread - spread.mean())
    return pd.DataFrame(
        {
            "cell": f"cross_entropy-resnet8-s{seed}", "objective": "cross_entropy", "label_smoothing": alpha,
            "student": "resnet8", "seed": seed, "status": "done", "val/top1": value, "test/top1": value - 1,
        }
        for seed, value in enumerate(values)
    )  # fmt: skip


def answered(score: Score, chosen: Setting = SMOOTHED, given: pd.DataFrame = NONE, **kwargs: Any) -> dict[str, Any]:
    passed = {key: kwargs.pop(key) for key in ("seeds", "noise", "teacher_offs") if key in kwargs}
    table = results_table(score, **passed)
    return answer(table, given, chosen, TOP1, "test", **{"margin": 0.5} | kwargs)


def relations(facts: dict[str, Any]) -> dict[tuple[float, float], str]:
    return {(row["label_smoothing"], row["temperature"]): row["relation"] for row in facts["settings"]}


def only_smoothed(a: float, t: float) -> float:
    return 90.0 if a > 0 and t < 64 else 85.0


@pytest.mark.rule("R5")
@pytest.mark.rule("R7")
def test_all_seeds_and_settings_share_one_error():
    facts = answered(only_smoothed)
    assert facts["degrees_of_freedom"] == 5 * 5  # blocks and settings, each less one
    assert facts["residual_sd"] == pytest.approx(0.1, abs=0.03)
    assert relations(facts)[0.1, 64.0] == "worse"
    row = next(row for row in facts["settings"] if row["relation"] == "worse")
    assert row["behind_low"] < row["behind"] < row["behind_high"]
    assert row["behind"] == pytest.approx(5, abs=0.3)


@pytest.mark.rule("R5")
def test_a_student_that_failed_takes_its_seed_from_no_other_setting():
    table = results_table(only_smoothed)
    table.loc[table.cell == "hinton-a0-T2-resnet8-s3", "status"] = "failed"
    facts = answer(table[table.status == "done"], NONE, SMOOTHED, TOP1, "test", margin=0.5)
    assert {row["n"] for row in facts["settings"]} == {5, 6}
    assert facts["degrees_of_freedom"] == 5 * 5 - 1


@pytest.mark.rule("R5")
def test_images_are_a_sample_too():
    """Few test images that students disagree about widen every difference; many that they agree on do not."""
    table, random = results_table(lambda a, t: 80.0, noise=0.5), np.random.default_rng(0)
    few = {cell: (random.random(200) < 0.8).astype(np.int8) for cell in table.cell}
    same = (random.random(20_000) < 0.8).astype(np.int8)
    alone, seen, agreed = (
        answer(table, NONE, SMOOTHED, TOP1, "test", margin=0.5, correct=correct)
        for correct in (None, few, dict.fromkeys(table.cell, same))
    )
    width = [max(row["behind_high"] - row["behind_low"] for row in f["settings"] if row["behind_high"] is not None)
             for f in (alone, seen, agreed)]  # fmt: skip
    assert width[1] > width[0]
    assert width[2] == pytest.approx(width[0])
    assert [facts["samples"] for facts in (alone, seen, agreed)] == [None, 200, 20_000]


@pytest.mark.rule("R9")
@pytest.mark.parametrize(
    ("score", "verdict"),
    [
        (only_smoothed, "yes"),
        (lambda a, t: 85.0 if a > 0 else 90.0, "no"),
        (lambda a, t: 90.0, "does not matter"),
    ],
)
def test_whether_to_smooth(score: Score, verdict: str):
    assert answered(score, noise=0.05)["smooth"]["verdict"] == verdict


@pytest.mark.rule("R9")
def test_whether_to_smooth_stays_open_where_chance_could_be_all_of_it():
    facts = answered(lambda a, t: 90.0 + (0.6 if a > 0 else 0), noise=1.0, seeds=3)
    assert facts["smooth"]["verdict"] == "open"
    assert facts["settle"]["kind"] == "units"
    assert facts["settle"]["number"] > 0


@pytest.mark.rule("R6")
@pytest.mark.rule("R9")
def test_one_seed_answers_nothing():
    facts = answered(only_smoothed, seeds=1, given=controls(50.0, seeds=1))
    assert facts["smooth"]["verdict"] == facts["teacher"]["verdict"] == "open"
    assert set(relations(facts).values()) == {"best", "undecided"}
    assert facts["settle"] == {"kind": "units", "number": None}
    assert facts["risk"] is None


@pytest.mark.rule("R9")
def test_a_grid_of_one_kind_was_not_asked():
    table = results_table(only_smoothed)
    facts = answer(table[table.label_smoothing > 0], NONE, SMOOTHED, TOP1, "test", margin=0.5)
    assert facts["smooth"] == {"verdict": "not asked"}
    unknown = answered(only_smoothed, smoothing="unknown")
    assert unknown["smooth"] == {"verdict": "not asked"}


@pytest.mark.rule("R9")
def test_one_teacher_of_each_kind_is_no_policy_and_several_may_be():
    assert answered(only_smoothed)["settle"] == {"kind": "teachers"}
    apart = answered(only_smoothed, teacher_offs=(-6.0, 0.0, 6.0))  # teachers differ by more than smoothing does
    assert apart["unit"] == "teacher seed"
    assert apart["smooth"]["verdict"] == "open"
    alike = answered(only_smoothed, teacher_offs=(-0.1, 0.0, 0.1))
    assert (alike["smooth"]["verdict"], alike["settle"], alike["teachers"]) == ("yes", {"kind": "nothing"}, 3)


@pytest.mark.rule("R9")
def test_which_temperature_and_what_is_risked():
    facts = answered(only_smoothed, noise=0.05)
    temperature = facts["temperature"]
    assert (temperature["as_good"], temperature["open"], temperature["behind"]) == ([1.0, 2.0], [], [64.0])
    assert 0 <= facts["risk"] < 0.1
    lost = answered(only_smoothed, chosen=PLAIN, noise=0.05)
    assert lost["risk"] == pytest.approx(5.0, abs=0.2)


@pytest.mark.rule("R2")
@pytest.mark.rule("R3")
def test_test_concludes_and_does_not_choose():
    table = results_table(only_smoothed)
    nothing = diffusion_table(lambda a, t: (0.0, 0.0))
    advice = advise(table, teacher_rows(), nothing, Rules())
    turned = table.assign(**{"test/top1": [90.0 if a == 0 else 85.0 for a in table.label_smoothing]})
    turned["test/top1"] += np.random.default_rng(3).normal(0, 0.1, len(turned))
    again = advise(turned, teacher_rows(), nothing, Rules())
    assert again["recommendation"] == advice["recommendation"]
    assert again["answer"] == advice["answer"]
    facts = conclude(advice, turned, NONE, preview=False)["answer"]
    assert facts["contradicted"]
    assert facts["smooth"]["verdict"] == "no"
    assert facts["temperature"]["label_smoothing"] == 0  # of the side that is left
    assert tuple(facts["chosen"].values())[1] == 0.1
    assert not conclude(advice, table, NONE, preview=False)["answer"]["contradicted"]


@pytest.mark.rule("R8")
def test_what_was_not_trained_alike_is_open_and_never_worse():
    assert relations(answered(only_smoothed))[0.1, 64.0] == "worse"
    facts = answered(only_smoothed, unlike={("hinton", 0.1, 64.0, "resnet8")})
    assert relations(facts)[0.1, 64.0] == "undecided"
    assert facts["temperature"]["unlike"] == [64.0]
    none_left = answered(lambda a, t: 85.0 if a > 0 else 90.0, chosen=PLAIN, unlike={SMOOTHED})
    assert (none_left["smooth"]["verdict"], none_left["settle"]["kind"]) == ("open", "training")


@pytest.mark.rule("R8")
def test_what_one_objective_did_not_learn_says_nothing_of_another():
    table = results_table(only_smoothed)
    other = table.assign(objective="dkd", cell="dkd-" + table.cell, **{"test/top1": table["test/top1"] - 2})
    facts = answer(
        pd.concat([table, other]), NONE, SMOOTHED, TOP1, "test", margin=0.5, unlike={("hinton", 0.0, 64.0, "resnet8")}
    )
    relation = {(r["objective"], r["label_smoothing"], r["temperature"]): r["relation"] for r in facts["settings"]}
    assert (relation["hinton", 0.0, 64.0], relation["dkd", 0.0, 64.0]) == ("undecided", "worse")


@pytest.mark.rule("R5")
def test_answers_of_other_lengths_are_no_sample_of_images():
    table = results_table(only_smoothed)
    correct = {cell: np.ones(200 + place, np.int8) for place, cell in enumerate(table.cell)}
    assert answer(table, NONE, SMOOTHED, TOP1, "test", margin=0.5, correct=correct)["samples"] is None
    bleu = replace(TOP1, name="bleu")  # tokens that were right are no sentences
    named = table.rename(columns={"test/top1": "test/bleu"})
    same = dict.fromkeys(table.cell, np.ones(200, np.int8))
    assert answer(named, NONE, SMOOTHED, bleu, "test", margin=0.5, correct=same)["samples"] is None


@pytest.mark.rule("R9")
def test_two_sides_that_are_only_just_told_apart_ask_for_seeds_and_not_for_training():
    found = []
    for seed in range(30):
        noise = np.random.default_rng(seed).normal(0, 1, 12)
        table = results_table(only_smoothed, noise=0).query("temperature == 1")
        table = table.assign(**{"test/top1": np.where(table.label_smoothing > 0, 81.0, 80.0) + noise})
        facts = answer(table, NONE, SMOOTHED, TOP1, "test", margin=0.2)
        found.append((facts["smooth"]["verdict"], facts["settle"]["kind"]))
    assert {kind for verdict, kind in found if verdict == "open"} == {"units"}
    assert "open" in dict(found)


@pytest.mark.rule("R25")
@pytest.mark.parametrize(("mean", "verdict"), [(88.0, "better"), (90.0, "as good"), (92.0, "worse")])
@pytest.mark.parametrize("offs", [(0.0,), (-0.05, 0.0, 0.05, 0.02)])
def test_is_a_teacher_worth_it(mean: float, verdict: str, offs: tuple[float, ...]):
    facts = answered(only_smoothed, given=controls(mean), teacher_offs=offs, noise=0.05)
    assert facts["teacher"]["verdict"] == verdict
    assert facts["teacher"]["difference"] == pytest.approx(90 - mean, abs=0.2)
    assert facts["teacher"]["objective"] == "cross_entropy"


@pytest.mark.rule("R25")
def test_a_teacher_whose_gain_may_be_chance_is_open_and_none_was_asked_without_a_control():
    facts = answered(lambda a, t: 90.0, given=controls(90.0, noise=1.0), noise=1.0)
    assert facts["teacher"]["verdict"] == "open"
    assert facts["teacher"]["difference_low"] < 0 < facts["teacher"]["difference_high"]
    assert answered(only_smoothed)["teacher"] == {"verdict": "not asked"}


@pytest.mark.rule("R25")
def test_several_teachers_and_one_control_borrow_its_spread():
    facts = answered(only_smoothed, given=controls(88.0, seeds=1), teacher_offs=(-0.05, 0.0, 0.05, 0.02), noise=0.05)
    assert facts["teacher"]["verdict"] == "better"
    assert facts["teacher"]["difference_high"] - facts["teacher"]["difference_low"] > 0.1


@pytest.mark.rule("R25")
def test_where_each_teacher_has_its_own_student_seed_the_control_is_compared_seed_by_seed():
    """What students of a seed share (±2 points here) cancels; as two samples it would be most of the error."""
    offs, luck = (-0.05, 0.0, 0.05, 0.02), np.array([-2.0, -1.0, 1.0, 2.0])
    crossed = results_table(only_smoothed, seeds=4, teacher_offs=offs, noise=0.05)
    paired, given = crossed[crossed.teacher_seed == crossed.seed], controls(88.0, seeds=4, noise=0.05)
    paired, given = (table.assign(**{"test/top1": table["test/top1"] + luck[table.seed]}) for table in (paired, given))
    facts = answer(paired, given, SMOOTHED, TOP1, "test", margin=0.5)
    assert facts["unit"] == "teacher seed"
    assert facts["teacher"]["verdict"] == "better"
    assert facts["teacher"]["difference_high"] - facts["teacher"]["difference_low"] < 0.5


@pytest.mark.rule("R25")
def test_the_better_of_two_controls_is_compared_with():
    both = pd.concat([controls(80.0), controls(92.0, alpha=0.1).assign(objective="label_smoothing")])
    facts = answered(only_smoothed, given=both)
    assert (facts["teacher"]["objective"], facts["teacher"]["verdict"]) == ("label_smoothing", "worse")


def test_less_may_be_better():
    loss = Metric("top1", "loss", "", "loss", "loss", "loss", "words", lower_is_better=True)
    table = results_table(lambda a, t: 10.0 if a > 0 else 12.0)
    facts = answer(table, controls(14.0), SMOOTHED, loss, "test", margin=0.5)
    assert facts["smooth"]["verdict"] == "yes"
    assert facts["smooth"]["behind"] == pytest.approx(2, abs=0.2)
    assert facts["teacher"]["verdict"] == "better"
    assert facts["teacher"]["difference"] == pytest.approx(4, abs=0.3)  # positive: better than without


def test_the_files_of_an_older_study_allow_the_answer():
    table = results_table(only_smoothed)
    advice = advise(table, teacher_rows(), diffusion_table(lambda a, t: (0.0, 0.0)), Rules())
    old = {key: advice[key] for key in ("recommendation", "margin")}
    assert answer_of(old, {"sentence": "…"}, table, NONE)["smooth"]["verdict"] == "yes"  # type: ignore[index]
    assert answer_of(old, None, table, NONE) is None  # test was not read
    assert answer_of(None, None, table, NONE) is None
    on_validation = answer_of(advice, None, table, NONE)
    assert on_validation is not None
    assert on_validation["split"] == "val"


def test_nothing_in_the_facts_is_infinite():
    facts = answered(only_smoothed, teacher_offs=(0.0,), seeds=2)

    def numbers(value: Any) -> list[float]:
        if isinstance(value, dict):
            return [n for item in value.values() for n in numbers(item)]
        if isinstance(value, list):
            return [n for item in value for n in numbers(item)]
        return [value] if isinstance(value, float) else []

    assert all(math.isfinite(number) for number in numbers(facts))
