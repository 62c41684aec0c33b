from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from tosmooth.analysis.inference import (
    bootstrap_interval,
    holm,
    mcnemar,
    paired_bootstrap,
    sign_flip_test,
    t_interval,
)


def test_t_interval_by_hand():
    # Mean 2, standard deviation 1, n = 3: half-width t(0.975; 2) / √3 = 4.302653 / 1.732051.
    found = t_interval([1.0, 2.0, 3.0])
    assert (found.mean, found.n) == (2.0, 3)
    assert found.high - 2 == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)
    assert 2 - found.low == pytest.approx(found.high - 2)
    single = t_interval([5.0])
    assert single.mean == 5.0
    assert math.isnan(single.low)
    with pytest.raises(ValueError, match="no values"):
        t_interval([])


def test_sign_flip_counts_patterns():
    assert sign_flip_test([1, 2, 3, 4, 5, 6]).p == 2 / 64
    # Patterns of (1, 1, −1) with |sum| ≥ 1: all 8.
    assert sign_flip_test([1, 1, -1]).p == 1.0
    # Of (3, 1): ±4 twice, ±2 twice; observed 4.
    assert sign_flip_test([3, 1]).p == 0.5
    assert sign_flip_test([0.1] * 5).smallest_possible == 2 / 32 > 0.05
    assert sign_flip_test([0.1] * 6).smallest_possible < 0.05


def test_sign_flip_with_many_values_is_seeded_and_agrees_with_the_normal_approximation():
    values = np.random.default_rng(0).normal(0.3, 1, 40)
    one, other = sign_flip_test(values), sign_flip_test(values)
    assert one == other
    z = values.sum() / math.sqrt((values**2).sum())
    assert one.p == pytest.approx(math.erfc(abs(z) / math.sqrt(2)), abs=0.01)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_mcnemar_by_hand():
    a = np.array([True] * 8 + [False] * 2 + [True] * 5)
    b = np.array([False] * 8 + [True] * 2 + [True] * 5)
    # 8 against 2 discordant: 2 · P(X ≤ 2), X ~ Binomial(10, ½) = 2 · 56 / 1024.
    assert mcnemar(a, b) == pytest.approx(112 / 1024)
    assert mcnemar(a, a) == 1.0
    with pytest.raises(ValueError, match="same samples"):
        mcnemar(a, b[:-1])


def test_bootstrap_is_seeded_and_covers_the_mean():
    values = np.random.default_rng(1).normal(1, 1, 50)
    found = bootstrap_interval(values)
    assert found == bootstrap_interval(values)
    assert found.low < values.mean() < found.high
    normal = 1.96 * values.std(ddof=1) / math.sqrt(50)
    assert found.high - found.low == pytest.approx(2 * normal, rel=0.15)


def test_sign_flip_equals_scipys_permutation_test():
    values = np.random.default_rng(2).normal(0.4, 1, 9)
    expected = stats.permutation_test((values,), np.sum, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip_test(values).p == pytest.approx(expected.pvalue)


def test_sign_flip_is_not_fooled_by_rounding():
    # 0.1 + 0.2 + 0.3 − 0.6 is 0 up to rounding: every pattern is at least as extreme.
    assert sign_flip_test([0.1, 0.2, 0.3, -0.6]).p == 1.0
    # Scale must not matter either, far below 1.
    assert sign_flip_test([1e-20, 2e-20, 4e-20]).p == sign_flip_test([1, 2, 4]).p == 0.25
    assert sign_flip_test([3.0]).p == sign_flip_test([3.0]).smallest_possible == 1.0
    assert sign_flip_test([0.0, 0.0]).p == 1.0


@pytest.mark.parametrize("function", [t_interval, sign_flip_test, bootstrap_interval])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_values_that_are_not_finite_are_refused(function, bad):
    with pytest.raises(ValueError, match="1 of 3 values are not finite"):
        function([0.1, bad, 0.2])


def test_a_level_outside_zero_to_one_is_refused():
    with pytest.raises(ValueError, match="95"):
        t_interval([1.0, 2.0], level=95)


def test_holm_leaves_out_tests_that_could_not_be_made():
    adjusted = holm([0.01, math.nan, 0.03])
    assert adjusted[0] == pytest.approx(0.02)  # of two tests, not three
    assert math.isnan(adjusted[1])
    assert adjusted[2] == pytest.approx(0.03)
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        holm([0.5, 1.5])


def test_the_paired_bootstrap_is_that_of_resampled_samples():
    random = np.random.default_rng(0)
    a, b = random.random(400) < 0.9, random.random(400) < 0.8
    found = paired_bootstrap(a, b)
    assert found.mean == pytest.approx(a.mean() - b.mean())
    resampled = random.integers(0, 400, (4000, 400))
    differences = a[resampled].mean(1) - b[resampled].mean(1)
    low, high = np.quantile(differences, [0.025, 0.975])
    assert found.low == pytest.approx(low, abs=0.006)
    assert found.high == pytest.approx(high, abs=0.006)
    assert found == paired_bootstrap(a, b)


def test_models_that_agree_on_few_samples_are_not_equal_for_certain():
    few, many = (paired_bootstrap(np.ones(count), np.ones(count)) for count in (20, 5000))
    assert few.high > 0.04
    assert many.high < 0.002
    with pytest.raises(ValueError, match="same samples"):
        paired_bootstrap([True], [True, False])
    with pytest.raises(ValueError, match="no values"):
        paired_bootstrap([], [])
