from __future__ import annotations

import numpy as np
import pytest

from tosmooth.data.translation.pairs import SentencePairs, fitting
from tosmooth.errors import DataError

PAIRS = SentencePairs.of(["a", " ", "Cafe\u0301  x", "d"], ["A", "B", "C", ""], "train.tsv")


def test_pairs_know_their_lines() -> None:
    chosen = PAIRS.select(np.array([2, 0]))
    assert chosen.sources == ("Cafe\u0301  x", "a")
    assert chosen.targets == ("C", "A")
    assert chosen.describe(0) == "train.tsv, line 3"


def test_texts_are_normalised_on_both_sides() -> None:
    lower = PAIRS.normalised(lowercase=True)
    assert lower.sources == ("a", "", "café x", "d")
    assert lower.targets == ("a", "b", "c", "")
    assert PAIRS.normalised().targets == ("A", "B", "C", "")


def test_pairs_without_text() -> None:
    assert PAIRS.filled().tolist() == [0, 2]
    with pytest.raises(DataError, match=r"train\.tsv: 2 pairs of the test split have an empty side \(line 2, 4\)"):
        PAIRS.check_filled("test")
    PAIRS.select(PAIRS.filled()).check_filled("test")


def test_what_fits_by_hand() -> None:
    """Lengths have the end token, which the ratio leaves out: 3 and 9 are 2 and 8 words' worth, a factor of 4."""
    sources = np.array([3, 3, 10, 11, 2, 1])
    targets = np.array([9, 10, 10, 3, 11, 2])
    keep, too_long, ratio = fitting(sources, targets, max_length=10, max_ratio=4)
    assert keep.tolist() == [True, False, True, False, False, True]
    assert (too_long, ratio) == (2, 1)
