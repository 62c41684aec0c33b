from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tosmooth import compare_settings, seeds_needed, spent_confidence


def two(gap: float, blocks: int = 4) -> pd.DataFrame:
    """Differences `gap` ± 1: their variance is blocks / (blocks − 1)."""
    turn = np.where(np.arange(blocks) % 2 == 0, 1.0, -1.0)
    return pd.DataFrame({"a": gap + turn, "b": np.zeros(blocks)})


def test_number_of_seeds_of_a_t_test():
    found = compare_settings(two(0.8), margin=0.0)
    assert set(found.could_be_best) == {"a", "b"}
    variance = 4 / 3
    # The first number of blocks n with 0.8 > t(0.95; 3 n / 4) √(4/3 / n): degrees of freedom grow in proportion.
    needed = next(n for n in range(4, 99) if stats.t.ppf(0.95, 3 * n / 4) * math.sqrt(variance / n) < 0.8)
    assert seeds_needed(found) == needed - 4 > 0


def test_what_is_settled_needs_none():
    assert seeds_needed(compare_settings(two(8.0))) == 0
    assert seeds_needed(compare_settings(two(0.2), margin=4.0)) == 0  # as good as one another
    assert seeds_needed(compare_settings(two(0.2)), sides={"a": "same", "b": "same"}) == 0


def test_none_where_images_limit():
    images = 0.4 * (1 - np.eye(2))
    found = compare_settings(two(0.8), margin=0.0, image_variance=images)
    # However many seeds: 0.8 < 1.645 √0.4.
    assert seeds_needed(found) is None
    few = seeds_needed(compare_settings(two(0.8), margin=0.0, image_variance=images / 8))
    assert few is not None
    assert few > (seeds_needed(compare_settings(two(0.8), margin=0.0)) or 0)


def test_none_where_more_than_the_most_would_be_needed():
    found = compare_settings(two(0.01), margin=0.0)
    assert seeds_needed(found, at_most=50) is None


def test_refused():
    with pytest.raises(ValueError, match=r"no side is given for \['b'\]"):
        seeds_needed(compare_settings(two(1.0)), sides={"a": 1})
    alone = compare_settings(two(1.0, blocks=1), image_variance=1 - np.eye(2))
    with pytest.raises(ValueError, match="variance between blocks is not known"):
        seeds_needed(alone)


@pytest.mark.parametrize("looks", [1, 2, 5, 12])
def test_looks_spend_no_more_than_there_is(looks: int):
    spent = [1 - spent_confidence(looks, look) for look in range(1, looks + 1)]
    assert sum(spent) == pytest.approx(0.05)
    assert all(one >= 0 for one in spent)
    assert spent == sorted(spent)  # the last look has most


def test_obrien_fleming_by_hand():
    # Half-way: 2 − 2 Φ(1.95996 / √½) = 2 − 2 Φ(2.77181) = 0.005575.
    assert 1 - spent_confidence(2, 1) == pytest.approx(0.005575, abs=1e-6)
    assert spent_confidence(1, 1) == pytest.approx(0.95)


@pytest.mark.parametrize(("looks", "look"), [(3, 0), (3, 4), (0, 1)])
def test_a_look_that_is_none(looks: int, look: int):
    with pytest.raises(ValueError, match="look must be in"):
        spent_confidence(looks, look)
