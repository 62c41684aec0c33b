"""Conclusions say what students were trained with, and caveats what other learning rates might have changed."""

from __future__ import annotations

import pandas as pd
import pytest

from tests.advice.said import said, said_on_test
from tests.fake_study.tables import diffusion_table, results_table, teacher_rows
from tosmooth.advice.advise import advise
from tosmooth.advice.caveats import Rules

GRID = results_table(lambda a, t: 88.0 - 2.0 * (a > 0 and t == 64))
DIFFUSES = diffusion_table(lambda a, t: (0.1, -0.02) if a > 0 else (0.0, 0.0))
WORDS = "SGD at 0.1, 4 epochs"


def with_rates(of_high_t: float, of_others: float) -> pd.DataFrame:
    return GRID.assign(learning_rate=[of_high_t if t == 64 else of_others for t in GRID.temperature])


def caveats_of(table: pd.DataFrame, *rates: float) -> str:
    return " ".join(advise(table, teacher_rows(), DIFFUSES, Rules(training=WORDS, rates=rates))["caveats"])


def test_every_conclusion_says_what_students_were_trained_with():
    advice = advise(GRID.assign(learning_rate=0.1), teacher_rows(), DIFFUSES, Rules(training=WORDS, rates=(0.1,)))
    headlines = said(advice, GRID), said_on_test(advice, GRID)
    for sentence in (*headlines, advice["effect"]["sentence"], advice["rule"]["sentence"]):
        assert sentence.endswith(f". Students: {WORDS}.")
    assert f"6 seeds; {WORDS})" in advice["consequence"]["sentence"]
    assert "learning rate 0.1" not in headlines[0]  # it could have no other


def test_the_choice_is_named_with_its_rate_where_it_could_have_had_another():
    advice = advise(with_rates(0.3, 0.1), teacher_rows(), DIFFUSES, Rules(training=WORDS, rates=(0.1, 0.3)))
    assert advice["recommendation"]["learning_rate"] in {0.1, 0.3}
    named = f", learning rate {advice['recommendation']['learning_rate']:g}: "
    assert named in said(advice, GRID)
    assert named in said_on_test(advice, GRID)


@pytest.mark.rule("R24")
def test_one_rate_for_all_settings_is_a_caveat():
    text = "All settings were trained at one learning rate (0.1)"
    assert text in caveats_of(GRID.assign(learning_rate=0.1), 0.1)
    assert text not in caveats_of(with_rates(0.3, 0.1), 0.1, 0.3)
    assert text not in caveats_of(GRID)  # of an earlier version: not known


@pytest.mark.rule("R24")
def test_a_best_rate_at_the_edge_of_those_tried_is_a_caveat():
    found = caveats_of(with_rates(0.9, 0.3), 0.1, 0.3, 0.9)
    assert "largest tried (0.9) for 2 of 6 settings: a larger one may be better still" in found
    assert "smallest tried" not in found
    assert "smallest tried (0.1) for 4 of 6 settings" in caveats_of(with_rates(0.3, 0.1), 0.1, 0.3)
    assert "tried" not in caveats_of(GRID.assign(learning_rate=0.3), 0.1, 0.3, 0.9)
