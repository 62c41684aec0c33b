from __future__ import annotations

import math

import pytest

from tosmooth.analysis.inference import Interval
from tosmooth.words.numbers import (
    between,
    decimals_for,
    file_name,
    fixed,
    listed,
    over_seeds,
    p_text,
    plus_minus,
    quoted,
    signed,
    unbroken,
)


@pytest.mark.parametrize(
    ("widths", "expected"),
    [([0.2], 1), ([0.16], 1), ([0.096], 1), ([0.04], 2), ([2.3], 0), ([0.96], 0), ([0.004], 3), ([0.02, 0.2, 0.3], 1)],
)
def test_decimals_stop_where_the_typical_interval_begins(widths: list[float], expected: int) -> None:
    assert decimals_for(widths, otherwise=9) == expected


def test_decimals_without_any_interval_are_the_given_ones() -> None:
    assert decimals_for([math.nan, 0.0, 1e-16], otherwise=1) == 1


def test_minus_is_a_minus_sign_and_zero_has_none() -> None:
    assert fixed(-1.25, 1) == "−1.2"
    assert fixed(-0.001, 1) == "0.0"
    assert fixed(math.nan, 1) == "–"
    assert fixed(None, 1) == "–"


def test_signed_marks_positive_numbers_only() -> None:
    assert [signed(v, 1) for v in (0.31, -0.31, 0.01, math.nan)] == ["+0.3", "−0.3", "0.0", "–"]


def test_plus_minus_with_and_without_an_interval() -> None:
    assert plus_minus(Interval(88.04, 87.8, 88.28, 6), 1) == "88.0 ± 0.2"
    assert plus_minus(Interval(88.04, math.nan, math.nan, 1), 1) == "88.0"


def test_a_small_interval_is_not_written_as_nothing() -> None:
    assert plus_minus(Interval(0.9, 0.88, 0.92, 6), 1, sign=True) == "+0.9 ± <0.1"


def test_over_seeds_is_the_t_interval_and_skips_missing_seeds() -> None:
    # mean 2, standard deviation 1, n = 3: half width t(0.975, 2) / √3 = 4.302653 / 1.732051
    interval = over_seeds([1.0, 2.0, 3.0, math.nan])
    assert interval.n == 3
    assert interval.mean == pytest.approx(2.0)
    assert interval.high - interval.mean == pytest.approx(2.484138, abs=1e-5)
    assert over_seeds([]).n == 0


def test_words_for_p_and_intervals() -> None:
    assert [p_text(p) for p in (0.0004, 0.03125, 0.5, math.nan, None)] == ["< 0.001", "0.031", "0.50", "–", "–"]
    assert between(-0.1, 0.34, 1) == "−0.1 to 0.3"
    assert between(None, 0.3, 1) == "–"


def test_listed_joins_as_prose() -> None:
    assert [listed(parts) for parts in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]


def test_file_name_cannot_leave_its_folder() -> None:
    assert file_name("accuracy", "hinton", "hf:../../x y") == "accuracy-hinton-hf-..-..-x-y"
    assert "/" not in file_name("a/b", "c")


def test_unbroken_keeps_short_terms_on_one_line() -> None:
    assert unbroken("at T = 64: 88.0 ± 0.2 %") == "at T\u00a0=\u00a064: 88.0\u00a0±\u00a00.2\u00a0%"


def test_unbroken_writes_true_minus_signs_but_leaves_hyphens() -> None:
    assert unbroken("top-1 of 2030-01-02 is -0.3") == "top-1 of 2030-01-02 is −0.3"


def test_quoted_cuts_long_names() -> None:
    assert quoted("Coat") == "“Coat”"
    assert len(quoted("x" * 500)) == 34
