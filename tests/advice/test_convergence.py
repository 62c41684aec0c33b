"""Two cells that differ in how far they were trained are told apart from two that differ in T."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tests.fake_study.folder import write_study
from tests.fake_study.tables import diffusion_table, results_table, teacher_rows
from tosmooth.advice.advise import advise
from tosmooth.advice.caveats import Rules
from tosmooth.advice.comparisons import scores_by_seed
from tosmooth.advice.consequence import judge_consequence
from tosmooth.advice.convergence import convergence, not_alike
from tosmooth.report.build import build_report

# The smoothed teacher's students fall by two points at the highest T, where classes diffuse too.
FALLS = results_table(lambda a, t: 88.0 - 2.0 * (a > 0 and t == 64))
DIFFUSES = diffusion_table(lambda a, t: (0.1, -0.02) if a > 0 else (0.0, 0.0))


def trained(table: pd.DataFrame, way: Callable[[float, float], float]) -> pd.DataFrame:
    """The table of students that began at a loss of T and went this share of the way."""
    share = [way(a, t) for a, t in zip(table.label_smoothing, table.temperature, strict=True)]
    first = table.temperature
    losses = {"train/first_loss": first, "train/loss": first * (1 - pd.Series(share))}
    return table.assign(**losses, **{"train/first_gradient": 0.8 / first, "train/last_gain": 0.25})


ALIKE = trained(FALLS, lambda a, t: 0.8)
LESS = trained(FALLS, lambda a, t: 0.32 if a > 0 and t == 64 else 0.8)


def test_the_share_of_the_way_is_free_of_the_losses_scale():
    found = convergence(LESS).set_index(["label_smoothing", "temperature"])
    assert found.way[0.0, 64.0] == pytest.approx(0.8)
    assert found.way_to_reference[0.1, 64.0] == pytest.approx(0.4)
    assert found.gradient_to_reference[0.1, 64.0] == pytest.approx(1 / 64)
    assert found.last_gain.tolist() == pytest.approx([0.25] * 6)
    assert list(found.index[~found.alike]) == [(0.1, 64.0)]


@pytest.mark.parametrize(("way", "alike"), [(0.759, False), (0.761, True), (0.841, True), (0.843, False)])
def test_alike_is_within_a_twentieth_either_way(way: float, alike: bool):
    found = not_alike(convergence(trained(FALLS, lambda a, t: way if t == 64 else 0.8)), "hinton", "resnet8")
    assert ((0.0, 64.0) not in found) == alike


def test_failed_students_and_those_of_earlier_versions_say_nothing():
    assert convergence(FALLS).empty
    failed = LESS.assign(status=LESS.status.where(LESS.temperature != 64, "failed"))
    assert set(convergence(failed).temperature) == {1.0, 2.0}
    without = LESS.assign(**{"train/first_loss": float("nan")})
    assert convergence(without).empty


@pytest.mark.rule("R12")
def test_students_that_were_not_trained_alike_say_nothing_of_t():
    def judged(table: pd.DataFrame):
        unlike = not_alike(convergence(table), "hinton", "resnet8")
        scores = scores_by_seed(table, "val/top1")
        return judge_consequence(scores, [(0.1, 64.0)], "hinton", "resnet8", unlike=unlike)

    assert judged(ALIKE)["verdict"] == "loss"
    found = judged(LESS)
    assert found["verdict"] == "none"  # of T = 2, which is left
    assert (found["farthest_off"]["label_smoothing"], found["farthest_off"]["temperature"]) == (0.1, 64.0)
    assert {row["temperature"]: row["alike"] for row in found["rows"]} == {2.0: True, 64.0: False}
    none_alike = judged(trained(FALLS, lambda a, t: 0.8 if t == 1 else 0.4))
    assert none_alike["verdict"] is None
    assert [row["alike"] for row in none_alike["rows"]] == [False, False]


@pytest.mark.rule("R12")
def test_an_unsmoothed_partner_that_was_trained_less_spoils_the_comparison_too():
    unlike = not_alike(
        convergence(trained(FALLS, lambda a, t: 0.3 if a == 0 and t == 64 else 0.8)), "hinton", "resnet8"
    )
    found = judge_consequence(scores_by_seed(FALLS, "val/top1"), [(0.1, 64.0)], "hinton", "resnet8", unlike=unlike)
    assert not next(row for row in found["rows"] if row["temperature"] == 64)["alike"]


@pytest.mark.rule("R23")
@pytest.mark.slow
def test_the_report_calls_it_convergence_and_not_temperature(tmp_path: Path):
    pages = {}
    for name, table in (("alike", ALIKE), ("less", LESS)):
        folder = write_study(tmp_path / name)
        table.to_csv(folder / "results.csv", index=False)
        advice = advise(table, teacher_rows(), DIFFUSES, Rules())
        (folder / "analysis" / "advice.json").write_text(json.dumps(advice), encoding="utf-8")
        page = build_report(folder).read_text(encoding="utf-8")
        pages[name] = " ".join(page.replace("\u00a0", " ").split())
    warning = "The students at α = 0.1, T = 64 have gone 40 % of the way that those at T = 1 went"
    assert "Accuracy falls with it, as the paper says" in pages["alike"]
    assert warning not in pages["alike"]
    assert "Accuracy falls with it" not in pages["less"]
    assert warning in pages["less"]
    assert "Were they trained alike?" in pages["less"]
    shown = pd.read_csv(tmp_path / "less" / "tables" / "convergence.csv")
    assert shown.loc[~shown.alike, "way_to_reference"].tolist() == pytest.approx([0.4])
