from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.fake_study.tables import diffusion_table, results_table, teacher_rows
from tosmooth.advice.advise import advise
from tosmooth.advice.caveats import Rules
from tosmooth.advice.comparisons import compare_with, scores_by_seed
from tosmooth.analysis.inference import Interval
from tosmooth.tasks.metric import Metric
from tosmooth.tasks.sample_tests import SampleTest

BEST = ("hinton", 0.1, 1.0, "resnet8")
OTHER = ("hinton", 0.0, 1.0, "resnet8")


def scores(**settings: list[float]) -> pd.DataFrame:
    """Scores by seed of settings named by their temperature: T1=[…], T2=[…]."""
    index = pd.MultiIndex.from_tuples(
        [("hinton", 0.1, float(name[1:]), "resnet8") for name in settings],
        names=["objective", "label_smoothing", "temperature", "student"],
    )
    return pd.DataFrame(list(settings.values()), index=index)


@pytest.mark.rule("R5")
def test_pairing_finds_what_the_spread_between_seeds_would_hide():
    seeds = [80.0, 85.0, 90.0, 82.0]
    rows = compare_with(
        BEST, scores(T1=seeds, T2=[s - 1 + e for s, e in zip(seeds, (0.1, -0.1, 0, 0.05), strict=True)]), 0.5
    )
    other = rows[1]
    assert other["difference"] == pytest.approx(0.9875)
    assert other["low"] > 0.8
    assert other["relation"] == "worse"
    assert (other["unit"], other["n"]) == ("seeds", 4)


@pytest.mark.rule("R7")
def test_the_more_settings_the_more_a_difference_must_weigh():
    """With 28 settings of the same error, what one difference alone shows is not enough to be no best."""
    random = np.random.default_rng(0)
    best = [90.0, 90.2, 90.1, 90.1]
    lost = [89.2, 89.9, 89.3, 89.4]
    alone = compare_with(BEST, scores(T1=best, T2=lost), 0.1)[1]
    others = {f"T{t}": list(89.4 + 0.5 * random.normal(size=4)) for t in range(3, 30)}
    among = compare_with(BEST, scores(T1=best, T2=lost, **others), 0.1)
    assert alone["relation"] == "worse"
    assert {row["relation"] for row in among} == {"best", "undecided", "worse"}
    undecided = [row for row in among if row["relation"] == "undecided"]
    assert any(row["p"] < 0.05 for row in undecided)


@pytest.mark.rule("R6")
def test_one_seed_is_compared_over_images():
    right = np.ones(1000, np.int8)
    right[:100] = 0
    worse, alike = right.copy(), right.copy()
    worse[100:160] = 0  # 60 images that the best alone gets right
    alike[0], alike[999] = 1, 0
    table = scores(T1=[90.0], T2=[84.0], T3=[90.0])
    judged = {("hinton", 0.1, t, "resnet8"): found for t, found in ((1.0, right), (2.0, worse), (3.0, alike))}
    best, lost, tied = compare_with(BEST, table, 0.5, judged)
    assert best["relation"] == "best"
    assert math.isnan(best["p"])
    assert lost["difference"] == pytest.approx(6.0)
    assert lost["p"] == pytest.approx(2 * 0.5**60)
    assert lost["p_holm"] == pytest.approx(2 * lost["p"])
    assert 4.5 < lost["low"] < 6 < lost["high"] < 7.6
    assert (lost["relation"], lost["unit"], lost["n"]) == ("worse", "images", 1000)
    assert (tied["difference"], tied["relation"]) == (0.0, "tied")


@pytest.mark.rule("R6")
def test_agreement_on_few_images_is_no_tie_and_unread_images_do_not_count():
    right = np.ones(24, np.int8)
    right[:4] = -1
    rows = compare_with(BEST, scores(T1=[90.0], T2=[90.0]), 0.5, {BEST: right, ("hinton", 0.1, 2.0, "resnet8"): right})
    assert rows[1]["n"] == 20
    assert rows[1]["relation"] == "undecided"


@pytest.mark.rule("R6")
def test_without_the_images_one_seed_decides_nothing():
    rows = compare_with(BEST, scores(T1=[90.0], T2=[50.0]), 0.5)
    assert rows[1]["relation"] == "undecided"


@pytest.mark.rule("R6")
@pytest.mark.rule("R9")
def test_the_advice_of_one_seed_speaks_for_its_students_only():
    table = results_table(lambda a, t: 90.0 if (a, t) == (0.1, 1.0) else 80.0, seeds=1, noise=0)
    random = np.random.default_rng(0)
    judged = {row.cell: (random.random(2000) < row["val/top1"] / 100).astype(np.int8) for _, row in table.iterrows()}
    nothing = diffusion_table(lambda a, t: (0.0, 0.0), seeds=1)
    advice = advise(table, teacher_rows(), nothing, Rules(), judged)
    assert {row["relation"] for row in advice["comparisons"]} == {"best", "worse"}
    assert {row["n"] for row in advice["comparisons"]} == {2000}
    assert advice["answer"]["smooth"]["verdict"] == "open"
    assert advice["effect"]["verdict"] == "inconclusive"
    several = advise(results_table(lambda a, t: 80.0), teacher_rows(), nothing, Rules(), judged)
    assert {row["unit"] for row in several["comparisons"]} == {"seeds"}


def test_scores_leave_failed_cells_out():
    table = results_table(lambda a, t: 80.0, seeds=2)
    table.loc[0, "status"] = "failed"
    found = scores_by_seed(table, "val/top1")
    assert found.isna().sum().sum() == 1
    assert OTHER in found.index


class Differences(SampleTest):
    """What is kept of a model is its figure."""

    name = "a test"

    def read(self, folder: Path) -> float:
        return float(folder.name)

    def compare(self, best: float, other: float) -> tuple[Interval, float]:
        return Interval(best - other, best - other - 1, best - other + 0.5, 300), 0.001


@pytest.mark.rule("R6")
@pytest.mark.parametrize("less", [False, True])
def test_a_test_of_samples_says_how_much_worse_also_where_less_is_better(less):
    metric = Metric("m", "m", "", "m", "m", "m", "words", lower_is_better=less, sample_test=Differences())
    judged = {("hinton", 0.1, t, "resnet8"): found for t, found in ((1.0, 7.0), (2.0, 12.0 if less else 2.0))}
    other = compare_with(BEST, scores(T1=[7.0], T2=[judged["hinton", 0.1, 2.0, "resnet8"]]), 0.5, judged, metric)[1]
    assert (other["difference"], other["relation"], other["unit"]) == (5.0, "worse", "words")
    assert (other["low"], other["high"]) == ((4.5, 6.0) if less else (4.0, 5.5))
