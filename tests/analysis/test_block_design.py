from __future__ import annotations

import math

import numpy as np
import pytest

from tosmooth.analysis import block_design
from tosmooth.analysis.block_design import fit

# Yates (1935): yields of oats, three varieties (whole plots) × four amounts of nitrogen, in six blocks. The standard
# example of a split plot: Venables and Ripley, Modern Applied Statistics with S, section 10.2.
OATS = np.array(
    [
        [111, 130, 157, 174, 117, 114, 161, 141, 105, 140, 118, 156],
        [61, 91, 97, 100, 70, 108, 126, 149, 96, 124, 121, 144],
        [68, 64, 112, 86, 60, 102, 89, 96, 89, 129, 132, 124],
        [74, 89, 81, 122, 64, 103, 132, 133, 70, 89, 104, 117],
        [62, 90, 100, 116, 80, 82, 94, 126, 63, 70, 109, 99],
        [53, 74, 118, 113, 89, 82, 86, 104, 97, 99, 119, 121],
    ],
    dtype=float,
)
VARIETIES = (0,) * 4 + (1,) * 4 + (2,) * 4


@pytest.fixture
def _equal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variances are taken to be equal unless one stands out, as in textbooks."""
    monkeypatch.setattr(block_design, "CAUTION", -100.0)


@pytest.mark.usefixtures("_equal")
def test_split_plot_of_the_textbook():
    found = fit(OATS, VARIETIES)
    assert (found.residual, found.residual_freedom) == (pytest.approx(177.08, abs=0.01), 45)
    # Published: mean square of whole plots 601.3 on 10 degrees of freedom; standard errors 7.68 and 9.72.
    assert math.sqrt(found.variance[0, 1]) == pytest.approx(7.6830, abs=1e-3)
    assert math.sqrt(found.variance[0, 4]) == pytest.approx(9.7150, abs=1e-3)
    mean, between = (601.33 + 3 * 177.08) / 4, 601.33 / 4
    assert found.freedom[0, 4] == pytest.approx(mean**2 / (between**2 / 10 + (0.75 * 177.08) ** 2 / 45), rel=1e-3)
    assert found.freedom[0, 1] == 45
    assert found.means == pytest.approx(OATS.mean(axis=0))


@pytest.mark.usefixtures("_equal")
def test_one_error_by_hand():
    # Settings 0 and 2 apart, blocks 0, 1, 3; errors +a −a in a Latin way: residuals by hand.
    scores = np.array([[0.0, 2.0], [1.0, 3.0], [3.0, 5.6]])
    found = fit(scores, None)
    # Differences 2, 2, 2.6: mean 2.2, variance 0.12; a cell has half of it; the mean difference 0.12 / 3.
    assert found.residual == pytest.approx(0.06)
    assert found.residual_freedom == 2
    assert found.variance[0, 1] == pytest.approx(0.04)


def test_a_block_that_lacks_cells_adjusts_the_means():
    # Additive without error: setting effects 0, 1, 5; block effects 0, 10, 20.
    scores = np.array([[0, 1, 5], [10, 11, np.nan], [np.nan, 21, 25]], dtype=float)
    found = fit(scores, None)
    assert np.diff(found.means) == pytest.approx([1, 4])
    assert found.residual == pytest.approx(0, abs=1e-20)
    assert found.variance[0, 2] == pytest.approx(0, abs=1e-20)


def test_a_block_with_one_setting_says_nothing():
    random = np.random.default_rng(0)
    scores = random.normal(size=(4, 3))
    alone = np.vstack([scores, [np.nan, 77.0, np.nan]])
    with_it, without = fit(alone, None), fit(scores, None)
    assert with_it.variance == pytest.approx(without.variance)
    assert np.diff(with_it.means) == pytest.approx(np.diff(without.means))
    assert with_it.residual_freedom == without.residual_freedom


@pytest.mark.usefixtures("_equal")
def test_a_lost_cell_changes_little_in_a_large_design_with_teachers():
    random = np.random.default_rng(1)
    scores = random.normal(size=(60, 6)) + np.repeat(random.normal(0, 2, (60, 2)), 3, axis=1)
    plots = (0, 0, 0, 1, 1, 1)
    whole = fit(scores, plots)
    scores[3, 1] = np.nan
    less = fit(scores, plots)
    assert less.means == pytest.approx(whole.means, abs=0.05)
    assert less.variance == pytest.approx(whole.variance, rel=0.08)
    assert less.freedom == pytest.approx(whole.freedom, rel=0.08)


@pytest.mark.usefixtures("_equal")
def test_variances_of_an_unbalanced_split_plot_are_right_on_average():
    # Means by generalised least squares, errors by moments: against what repeated draws do.
    random = np.random.default_rng(2)
    there = random.random((8, 6)) > 0.25
    there[0] = True
    plots = (0, 0, 0, 1, 1, 1)
    means, variances = [], []
    for _ in range(800):
        scores = random.normal(size=(8, 6)) + np.repeat(random.normal(0, 1.5, (8, 2)), 3, axis=1)
        found = fit(np.where(there, scores, np.nan), plots)
        means.append(found.means)
        variances.append(found.variance)
    drawn = np.array(means)
    for i, j in ((0, 1), (1, 2), (0, 3), (2, 5)):
        assert np.mean(variances, axis=0)[i, j] == pytest.approx(np.var(drawn[:, i] - drawn[:, j]), rel=0.15)


def test_each_setting_of_its_own_plot_is_one_error():
    scores = np.random.default_rng(3).normal(size=(5, 4))
    assert fit(scores, (0, 1, 2, 3)).variance == pytest.approx(fit(scores, None).variance)
    assert fit(scores, (0, 0, 0, 0)).variance == pytest.approx(fit(scores, None).variance)


def test_a_setting_that_stands_out_keeps_its_own_variance():
    random = np.random.default_rng(4)
    scores = random.normal(size=(40, 6)) * np.array([1, 1, 1, 1, 1, 5.0])
    found = fit(scores, None)
    assert found.unequal
    # Its own variance, and that of a precise one, which counts as the pooled one: (5 · 1 + 25) / 6 and a little.
    assert found.variance[0, 5] * 40 == pytest.approx(scores[:, 5].var(ddof=1) + found.residual, rel=0.05)
    assert found.variance[0, 1] * 40 == pytest.approx(2 * found.residual)
    # Satterthwaite: nearly the 39 degrees of freedom of the one that stands out, not the 195 of all.
    assert 39 < found.freedom[0, 5] < 70


def test_equal_variances_are_all_but_pooled_in_a_large_study():
    for seed in range(5):
        found = fit(np.random.default_rng(seed).normal(size=(30, 30)), None)
        off = found.variance[~np.eye(30, dtype=bool)]
        assert off.min() == pytest.approx(2 * found.residual / 30)
        assert off.max() / off.min() < 1.3


@pytest.mark.parametrize("count", [3, 8, 30])
def test_expected_squares_of_a_complete_design(count: int):
    # Grubbs (1948): each setting's squares have B − 1 degrees of freedom and a share 1 − 1 / C of one variance.
    scores = np.zeros((6, count))
    found = block_design.layout(scores.shape, (scores == 0).tobytes(), None)
    assert found.freedom == 5 * (count - 1)
    assert found.shares == pytest.approx(np.full(count, 5 * (1 - 1 / count)))
    assert np.diag(found.mixing) == pytest.approx(np.full(count, 5 * (1 - 1 / count) ** 2))
    assert found.mixing[0, 1] == pytest.approx(5 / count**2)


def test_settings_that_no_block_connects_are_open():
    lost = np.nan
    scores = np.array([[1, 2, lost, lost], [2, 2.5, lost, lost], [lost, lost, 3, 5], [lost, lost, 3, 4]])
    found = fit(scores, None)
    assert np.isinf(found.variance[:2, 2:]).all()
    assert np.isfinite(found.variance[:2, :2]).all()
