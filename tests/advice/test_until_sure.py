"""Until sure, on constructed tables: who is left after a look, and why one goes on or stops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.fake_study.tables import diffusion_table, results_table, teacher_rows
from tosmooth.advice.advise import advise, conclude
from tosmooth.advice.caveats import Rules
from tosmooth.advice.comparisons import KEY
from tosmooth.advice.units import Setting
from tosmooth.advice.until_sure import Look, confidence_of, look, looked_of, looks_at
from tosmooth.analysis.more_blocks import spent_confidence
from tosmooth.tasks.metric import TOP1
from tosmooth.words.answer import basis
from tosmooth.words.wording import Wording

NONE = pd.DataFrame()
PLAIN: Setting = ("hinton", 0.0, 1.0, "resnet8")
SMOOTHED: Setting = ("hinton", 0.1, 1.0, "resnet8")


def looked(table: pd.DataFrame, *, looks: int = 4, number: int = 2, **kwargs: Any) -> Look:
    return look(table, NONE, TOP1, **{"looks": looks, "number": number, "margin": 0.5} | kwargs)


def of(table: pd.DataFrame, *settings: Setting) -> pd.Series:
    return pd.Series([tuple(row) in settings for row in table[KEY].to_numpy().tolist()], index=table.index)


@pytest.mark.rule("R26")
def test_looks_come_when_seeds_have_grown_by_a_third():
    assert looks_at(2, 24) == [2, 3, 4, 6, 8, 11, 15, 20, 24]
    assert looks_at(6, 24) == [6, 8, 11, 15, 20, 24]
    assert looks_at(3, 4) == [3, 4]


@pytest.mark.rule("R26")
@pytest.mark.parametrize("last", [1, 3, 9])
def test_all_looks_together_keep_95_percent(last: int):
    """Those before the last have their shares, and the last has the rest, whenever it comes."""
    spent = [1 - confidence_of(9, number) for number in range(1, last)] + [1 - confidence_of(9, last, last=True)]
    assert sum(spent) == pytest.approx(0.05)
    assert confidence_of(9, 9, last=True) == pytest.approx(spent_confidence(9, 9))
    assert confidence_of(40, 1) < 1


@pytest.mark.rule("R26")
def test_it_stops_where_one_side_is_left_even_at_the_first_looks():
    found = looked(results_table(lambda a, t: 90.0 if a > 0 else 80.0))
    assert {setting[1] for setting in found.left} == {0.1}
    assert (found.reason, found.confidence) == ("sure", spent_confidence(4, 2))


@pytest.mark.rule("R26")
def test_it_goes_on_with_those_that_may_be_the_best_while_nobody_is_sure():
    table = results_table(lambda a, t: 70.0 if t == 64 else 90.0 + (a > 0) * 0.3, noise=0.4)
    found = looked(table)
    assert found.reason is None
    assert {setting[2] for setting in found.left} == {1.0, 2.0}
    assert {setting[1] for setting in found.left} == {0.0, 0.1}


@pytest.mark.rule("R26")
def test_who_has_left_stays_out_whatever_it_looks_like_later():
    table = results_table(lambda a, t: 95.0 if (a, t) == (0.0, 64.0) else 90.0 + (a > 0) * 0.3, noise=0.4)
    gone: Setting = ("hinton", 0.0, 64.0, "resnet8")
    assert looked(table).left == (gone,)
    # It has the first two seeds alone, as a setting that has left them all; others have six.
    table = table[~of(table, gone) | (table.seed < 2)]
    found = looked(table, out=[gone])
    assert gone not in found.left
    assert found.left


@pytest.mark.rule("R26")
def test_a_lone_side_that_is_not_told_apart_keeps_a_rival_to_be_compared_with():
    """Of two settings, one leaves the set at a one-sided level; that it differs is a two-sided question."""
    kept = []
    for gap in np.linspace(0.1, 1.5, 57):
        table = results_table(lambda a, t, gap=gap: 90.0 + gap * (a > 0), noise=0.3)
        found = looked(table[of(table, PLAIN, SMOOTHED)], looks=2, number=1)
        assert (found.reason == "sure") == (found.left == (SMOOTHED,))
        kept.append(found.left)
    assert set(kept) == {(PLAIN, SMOOTHED), (SMOOTHED,)}


@pytest.mark.rule("R26")
def test_it_stops_where_what_is_left_is_as_good_as_the_best():
    found = looked(results_table(lambda a, t: 90.0, noise=0.02))
    assert found.reason == "as good"
    wide = looked(results_table(lambda a, t: 90.0, noise=0.02), margin=0.001)
    assert wide.reason is None


@pytest.mark.rule("R26")
def test_of_teachers_of_one_kind_or_of_unknown_ones_it_asks_which_setting():
    table = results_table(lambda a, t: 90.0 - 5 * math.log(t))
    of_one = table[table.label_smoothing > 0]
    assert (looked(of_one).reason, looked(of_one).left) == ("sure", (SMOOTHED,))
    two = results_table(lambda a, t: 90.0 if t < 64 else 80.0, noise=0.4)
    assert looked(two[two.label_smoothing > 0], margin=0.01).reason is None
    assert looked(results_table(lambda a, t: 90.0, noise=0.02), smoothing="unknown").reason == "as good"


@pytest.mark.rule("R26")
@pytest.mark.parametrize("last", ["budget", "seeds"])
def test_the_look_at_the_last_seed_has_all_that_is_left_of_the_error(last: str):
    """A look that a budget ends has its own share: with a larger budget the looks go on."""
    table = results_table(lambda a, t: 90.0 + (a > 0) * 0.2, noise=0.4)
    found = looked(table, last=last)
    assert found.reason == last
    assert found.confidence == confidence_of(4, 2, last=last == "seeds")
    assert (found.confidence < spent_confidence(4, 2)) == (last == "seeds")
    sure = looked(results_table(lambda a, t: 90.0 if a > 0 else 80.0), last=last)
    assert sure.reason == "sure"


def of_images(table: pd.DataFrame, images: int, share: float) -> dict[str, np.ndarray[Any, Any]]:
    """Students of a setting agree on all images; those of two settings differ on a share of them."""
    random, found = np.random.default_rng(0), {}
    for _, own in table.groupby(KEY):
        right = (random.random(images) < share).astype(np.int8)
        found |= dict.fromkeys(own.cell, right)
    return found


@pytest.mark.rule("R26")
def test_it_stops_where_images_and_not_seeds_limit():
    """Hardly any luck of seeds, and 60 validation images that settings disagree about."""
    table = results_table(lambda a, t: 80.0 + (a > 0) * 0.2, noise=0.05)
    assert looked(table, correct=of_images(table, 60, 0.8)).reason == "samples"
    assert looked(table, correct=of_images(table, 60, 1.0)).reason == "sure"


@pytest.mark.rule("R26")
def test_images_do_not_limit_while_seeds_are_what_is_uncertain():
    table = results_table(lambda a, t: 80.0 + (a > 0) * 0.2, noise=20.0)
    assert looked(table, correct=of_images(table, 60, 0.8)).reason is None


@pytest.mark.rule("R26")
def test_it_stops_where_only_unlike_training_keeps_a_side_open():
    table = results_table(lambda a, t: 90.0 if a > 0 else 80.0)
    found = looked(table, unlike={("hinton", 0.0, 64.0, "resnet8")})
    assert found.reason == "training"


@pytest.mark.rule("R26")
def test_the_choice_is_of_those_that_are_left_by_means_adjusted_for_their_seeds():
    """A setting that left early has the luckiest seeds alone; its mean is the highest, and it is not chosen."""
    table = results_table(lambda a, t: 90.0 - (t > 1) * 0.5 - (a > 0) * 0.2, noise=0.1)
    luck = {0: 5.0, 1: 5.0}
    table["val/top1"] += table.seed.map(luck).fillna(0.0)
    table["test/top1"] += table.seed.map(luck).fillna(0.0)
    gone = [tuple(row) for row in table[KEY].drop_duplicates().to_numpy().tolist() if row[2] > 1]
    table = table[~of(table, *gone) | (table.seed < 2)]
    told = {"reason": "seeds", "seeds": 6, "first": 2, "looks": 4, "confidence": 0.96}
    told["out"] = [dict(zip(KEY, setting, strict=True)) for setting in gone]
    assert table[of(table, gone[0])]["val/top1"].mean() > table[of(table, PLAIN)]["val/top1"].mean()

    rules = Rules(until_sure=told)
    advice = advise(table, teacher_rows(), diffusion_table(lambda a, t: (0.1, 0.05)), rules)
    assert tuple(advice["recommendation"][key] for key in KEY) == PLAIN
    relations = {(row["label_smoothing"], row["temperature"]): row["relation"] for row in advice["answer"]["settings"]}
    assert {relations[a, t] for a in (0.0, 0.1) for t in (2.0, 64.0)} == {"worse"}
    assert {row["relation"] for row in advice["comparisons"] if row["temperature"] > 1} == {"worse"}
    verdict = conclude(advice, table, NONE, preview=False)["answer"]
    assert verdict["until_sure"] == advice["until_sure"] == told
    sentence = basis(verdict, Wording())
    assert "after 6 seeds and 4 looks it stopped, because no more seeds were allowed" in sentence
    assert "96 % confidence" in sentence


def test_a_study_without_looks_is_read_as_always():
    assert looked_of(None).confidence == 0.95
    assert looked_of({}).out == frozenset()
