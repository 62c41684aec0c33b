from __future__ import annotations

import math

import pandas as pd
import pytest
from scipy import stats

from tosmooth.advice.paired import adjusted, less_partner, over_units


@pytest.fixture
def cells() -> pd.DataFrame:
    rows = [
        {"objective": "hinton", "label_smoothing": alpha, "temperature": 2.0, "student": "resnet8", "teacher_seed": t,
         "seed": s, "score": 10 * t + s + 100 * alpha}
        for alpha in (0.0, 0.1) for t in (0, 1) for s in (0, 1, 2)
    ]  # fmt: skip
    return pd.DataFrame(rows).sample(frac=1, random_state=0)  # in no order


def test_a_partner_differs_in_one_thing_alone(cells):
    found = less_partner(cells, "label_smoothing", 0.0, "score")
    assert found[cells.label_smoothing == 0.1].tolist() == pytest.approx([10.0] * 6)
    assert (found[cells.label_smoothing == 0.0] == 0).all()
    lonely = cells[~((cells.label_smoothing == 0) & (cells.seed == 1))]
    missing = less_partner(lonely, "label_smoothing", 0.0, "score").isna()
    assert set(lonely[missing].seed) == {1}


def test_means_are_over_units_and_p_is_the_t_tests():
    part = pd.DataFrame({"unit": [0, 0, 1, 1, 2], "value": [1.0, 3.0, 2.0, 4.0, 7.0]})
    found = over_units(part, "value", "unit")
    assert (found.n, found.mean) == (3, pytest.approx(4.0))
    assert found.p == pytest.approx(stats.ttest_1samp([2, 3, 7], 0).pvalue)
    assert found.low < 0 < found.high


def test_too_few_units_give_no_p_and_equal_ones_no_spread():
    assert math.isnan(over_units(pd.DataFrame({"seed": [0, 1], "v": [1.0, 2.0]}), "v", "seed").p)
    assert over_units(pd.DataFrame({"seed": [0, 1, 2], "v": [1.0] * 3}), "v", "seed").p == 0
    assert over_units(pd.DataFrame({"seed": [0, 1, 2], "v": [0.0] * 3}), "v", "seed").p == 1
    assert over_units(pd.DataFrame({"seed": [0], "v": [math.nan]}), "v", "seed").n == 0
    assert adjusted([]) == []
