"""Conclusions say what students were trained with, and caveats what other learning rates might have changed."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from tests.advice.said import said, said_on_test
from tests.fake_study.tables import diffusion_table, results_table, teacher_rows
from tosmooth.advice.advise import advise
from tosmooth.advice.caveats import Rules
from tosmooth.tasks.metric import TOP1
from tosmooth.words.conclusions import conclusions
from tosmooth.words.wording import wording_of

GRID = results_table(lambda a, t: 88.0 - 2.0 * (a > 0 and t == 64))
DIFFUSES = diffusion_table(lambda a, t: (0.1, -0.02) if a > 0 else (0.0, 0.0))
TRAINING = {"optimizer": "sgd", "epochs": 4}
WORDS = "SGD at 0.1, 4 epochs"


def with_rates(of_high_t: float, of_others: float) -> pd.DataFrame:
    return GRID.assign(learning_rate=[of_high_t if t == 64 else of_others for t in GRID.temperature])


def rates_of(table: pd.DataFrame, *rates: float) -> list[dict[str, Any]]:
    """The caveats on learning rates."""
    found = advise(table, teacher_rows(), DIFFUSES, Rules(training=TRAINING, rates=rates))["caveats"]
    return [caveat for caveat in found if "learning rate" in caveat["code"]]


def test_every_conclusion_says_what_students_were_trained_with():
    advice = advise(GRID.assign(learning_rate=0.1), teacher_rows(), DIFFUSES, Rules(training=TRAINING, rates=(0.1,)))
    headlines = said(advice, GRID), said_on_test(advice, GRID)
    concluded = conclusions(advice, wording_of(advice, GRID, TOP1))
    for sentence in (*headlines, concluded["effect"], concluded["rule"]):
        assert sentence.endswith(f". Students: {WORDS}.")
    assert f"6 seeds; {WORDS})" in concluded["consequence"]
    assert "learning rate 0.1" not in headlines[0]  # it could have no other


def test_the_choice_is_named_with_its_rate_where_it_could_have_had_another():
    advice = advise(with_rates(0.3, 0.1), teacher_rows(), DIFFUSES, Rules(training=TRAINING, rates=(0.1, 0.3)))
    assert advice["recommendation"]["learning_rate"] in {0.1, 0.3}
    named = f", learning rate {advice['recommendation']['learning_rate']:g}: "
    assert named in said(advice, GRID)
    assert named in said_on_test(advice, GRID)


@pytest.mark.rule("R24")
def test_one_rate_for_all_settings_is_a_caveat():
    one = {"code": "one learning rate", "learning_rate": 0.1}
    assert rates_of(GRID.assign(learning_rate=0.1), 0.1) == [one]
    assert one not in rates_of(with_rates(0.3, 0.1), 0.1, 0.3)
    assert rates_of(GRID) == []  # of an earlier version: not known


@pytest.mark.rule("R24")
def test_a_best_rate_at_the_edge_of_those_tried_is_a_caveat():
    largest = {"code": "largest learning rate", "learning_rate": 0.9, "settings": 2, "of": 6}
    assert rates_of(with_rates(0.9, 0.3), 0.1, 0.3, 0.9) == [largest]
    smallest = {"code": "smallest learning rate", "learning_rate": 0.1, "settings": 4, "of": 6}
    assert smallest in rates_of(with_rates(0.3, 0.1), 0.1, 0.3)
    assert rates_of(GRID.assign(learning_rate=0.3), 0.1, 0.3, 0.9) == []
