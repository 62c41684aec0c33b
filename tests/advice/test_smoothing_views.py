from __future__ import annotations

import pandas as pd
import pytest

from tosmooth.advice.smoothing_views import judge_views


def _teachers(*rows: tuple[float, float | None, float | None, float | None]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["label_smoothing", "compactness", "mi_similar", "stability"])


@pytest.mark.parametrize(
    ("smoothed", "verdicts"),
    [
        ((0.1, 1.0, 0.99), ("less", "less", "more")),
        ((0.3, 2.0, 0.90), ("same", "same", "same")),
        ((0.5, 3.0, 0.80), ("more", "more", "less")),
        ((0.1, 3.0, 0.90), ("less", "more", "same")),
    ],
)
def test_each_view_compares_its_numbers(smoothed, verdicts):
    found = judge_views(_teachers((0.0, 0.3, 2.0, 0.90), (0.1, *smoothed)))
    assert tuple(found[key]["verdict"] for key in ("compactness", "information", "stability")) == verdicts
    assert found["label_smoothing"] == 0.1


def test_several_teachers_of_one_factor_are_averaged_and_the_most_smoothed_is_compared():
    rows = ((0.0, 0.2, 2.0, 0.9), (0.0, 0.4, 2.0, 0.9), (0.1, 0.3, 2.0, 0.9), (0.2, 0.1, 2.0, 0.9))
    found = judge_views(_teachers(*rows))["compactness"]
    assert (found["smoothed"], found["unsmoothed"]) == pytest.approx((0.1, 0.3))


def test_what_was_not_measured_is_none():
    found = judge_views(_teachers((0.0, 0.3, None, 0.9), (0.1, 0.1, None, None)).astype({"mi_similar": object}))
    assert found["compactness"]["verdict"] == "less"
    assert (found["information"], found["stability"]) == (None, None)


def test_without_a_pair_there_is_nothing_to_compare():
    for alone in (_teachers((0.1, 0.3, 1.0, 0.9)), _teachers((0.1, 0.3, 1.0, 0.9), (0.2, 0.3, 1.0, 0.9))):
        assert judge_views(alone) == {}
