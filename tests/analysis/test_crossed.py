from __future__ import annotations

import math

import numpy as np
import pytest

import tosmooth
from tosmooth import crossed_variance, image_variances


def drawn(
    random: np.random.Generator, shape: tuple[int, int], seeds: float, images: float
) -> tuple[np.ndarray, np.ndarray]:
    """Answers of two settings whose difference has a part of blocks, of images, and of chance."""
    blocks, count = shape
    ease = random.normal(0.5, 1.0, count)
    pull = random.normal(0, images, count) + random.normal(0, seeds, (blocks, 1))
    return (random.normal(size=shape) < ease + pull), (random.normal(size=shape) < ease - pull)


def test_by_hand():
    # D = [[1, 1], [1, −1]]: mean ½; of blocks 1, 0; of images 1, 0. MS_block = 2 · ½ = 1, MS_image = 1, and the error
    # is 3 − 1 − 1 = 1 (the sum of squares about ½ is 3 · ¼ + 9 / 4 = 3). Variance (1 + 1 − 1) / 4.
    found = crossed_variance([[1, 1], [1, 0]], [[0, 0], [0, 1]])
    assert (found.mean, found.variance, found.block, found.image, found.error) == (0.5, 0.25, 0.0, 0.0, 0.25)
    assert (found.blocks, found.images) == (2, 2)


def test_against_an_analysis_of_variance_written_out():
    a, b = drawn(np.random.default_rng(1), (5, 40), 0.6, 0.6)
    d = a.astype(float) - b
    mean = d.mean()
    block = sum(40 * (d[i].mean() - mean) ** 2 for i in range(5)) / 4
    image = sum(5 * (d[:, j].mean() - mean) ** 2 for j in range(40)) / 39
    error = sum((d[i, j] - d[i].mean() - d[:, j].mean() + mean) ** 2 for i in range(5) for j in range(40)) / (4 * 39)
    assert min(block, image) > error  # else the parts are cut off at 0, and this is another test
    found = crossed_variance(a, b)
    assert found.variance == pytest.approx((block + image - error) / 200)
    assert found.error == pytest.approx(error / 200)
    assert found.image == pytest.approx((image - error) / 200)


@pytest.mark.parametrize(("seeds", "images"), [(0.0, 0.8), (0.4, 0.0), (0.3, 0.5)])
def test_is_what_new_seeds_and_new_images_do_to_the_difference(seeds: float, images: float):
    random = np.random.default_rng(2)
    found = [crossed_variance(*drawn(random, (4, 60), seeds, images)) for _ in range(3000)]
    empirical = np.var([one.mean for one in found])
    # Parts below 0 count as 0, so the estimate may be a little too large, and not too small.
    assert 0.93 < np.mean([one.variance for one in found]) / empirical < 1.25


def test_never_below_images_alone_nor_blocks_alone():
    random = np.random.default_rng(3)
    for _ in range(50):
        a, b = drawn(random, (3, 30), 0.1, 0.1)
        d = a.astype(float) - b
        found = crossed_variance(a, b)
        assert found.variance >= d.mean(axis=0).var(ddof=1) / 30 - 1e-15
        assert found.variance >= d.mean(axis=1).var(ddof=1) / 3 - 1e-15


def test_one_block_is_mcnemars_normal_approximation():
    a, b = drawn(np.random.default_rng(4), (1, 100), 0, 1)
    only_a, only_b = np.sum(a & ~b), np.sum(b & ~a)
    found = crossed_variance(a[0], b[0])
    # Variance of n₁₀ − n₀₁ with n − 1: (n₁₀ + n₀₁ − (n₁₀ − n₀₁)² / n) / (n − 1), divided by n.
    assert found.variance == pytest.approx((only_a + only_b - (only_a - only_b) ** 2 / 100) / 99 / 100)
    assert math.isnan(found.block)
    assert (found.image, found.error) == (found.variance, 0.0)


def test_an_image_that_one_student_could_not_be_judged_on_is_left_out_for_all():
    a, b = drawn(np.random.default_rng(5), (3, 20), 0.5, 0.5)
    gap = a.astype(float)
    gap[1, 7] = -1
    without = crossed_variance(np.delete(a, 7, axis=1), np.delete(b, 7, axis=1))
    assert crossed_variance(gap, b) == without
    gap[1, 7] = np.nan
    assert crossed_variance(gap, b) == without
    assert without.images == 19


def test_what_is_refused():
    with pytest.raises(ValueError, match=r"same blocks and images; got \(2, 3\) and \(2, 4\)"):
        crossed_variance(np.ones((2, 3), bool), np.ones((2, 4), bool))
    with pytest.raises(ValueError, match=r"right \(1\), wrong \(0\)"):
        crossed_variance([[0.5, 1]], [[0, 1]])
    with pytest.raises(ValueError, match="two images or more are needed, 1 of 2"):
        crossed_variance([[1, -1]], [[0, 1]])


def test_matrix_has_the_image_parts_in_points_squared():
    random = np.random.default_rng(6)
    a, b = drawn(random, (4, 50), 0.3, 0.8)
    c, _ = drawn(random, (4, 50), 0.3, 0.8)
    found = tosmooth.image_variances({"a": a, "b": b, "c": c})
    assert found[0, 1] == found[1, 0] == pytest.approx(crossed_variance(a, b).image * 1e4)
    assert found[1, 2] == pytest.approx(crossed_variance(b, c).image * 1e4)
    assert found[0, 1] > 0
    assert not np.diag(found).any()


def test_a_failed_student_leaves_its_block_out_of_its_own_pairs_only():
    a, b = drawn(np.random.default_rng(7), (4, 50), 0.3, 0.8)
    failed = a.astype(float)
    failed[2] = np.nan
    found = image_variances({"a": failed, "b": b, "c": ~b})
    kept = [0, 1, 3]
    assert found[0, 1] == pytest.approx(crossed_variance(a[kept], b[kept]).image * 1e4)
    assert found[1, 2] == pytest.approx(crossed_variance(b, ~b).image * 1e4)
    with pytest.raises(ValueError, match=r"no student of \['a'\]"):
        image_variances({"a": np.full((4, 50), np.nan), "b": b})
