from __future__ import annotations

import pytest
import torch

from tosmooth.data.splits import split_off, stratified_choice
from tosmooth.errors import DataError

LABELS = torch.tensor([0] * 50 + [1] * 30 + [2] * 20)


def test_shares_of_the_classes_are_kept() -> None:
    chosen = stratified_choice(LABELS, 10, seed=0)
    assert torch.bincount(LABELS[chosen]).tolist() == [5, 3, 2]
    assert chosen.tolist() == sorted(set(chosen.tolist()))


def test_what_rounding_leaves_over_goes_to_the_largest_remainders() -> None:
    # 7 of 100: exact shares 3.5, 2.1, 1.4; floors 3, 2, 1; the one left over goes to the remainder 0.5.
    assert torch.bincount(LABELS[stratified_choice(LABELS, 7, seed=0)]).tolist() == [4, 2, 1]


@pytest.mark.parametrize("count", [0, 1, 33, 99, 100])
def test_the_choice_has_the_size_asked_for(count: int) -> None:
    chosen = stratified_choice(LABELS, count, seed=0)
    assert len(set(chosen.tolist())) == count
    for label, share in enumerate((0.5, 0.3, 0.2)):
        assert abs(int((LABELS[chosen] == label).sum()) - share * count) < 1


def test_the_seed_decides() -> None:
    first, again, other = (stratified_choice(LABELS, 20, seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_splitting_off_leaves_the_rest_disjoint_and_complete() -> None:
    rest, part = split_off(LABELS, 0.1, seed=3)
    assert len(part) == 10
    assert sorted(rest.tolist() + part.tolist()) == list(range(100))


def test_zero_splits_nothing_off() -> None:
    rest, part = split_off(LABELS, 0, seed=0)
    assert len(rest) == 100
    assert len(part) == 0
    assert part.dtype == torch.int64


@pytest.mark.parametrize(
    ("fraction", "message"),
    [
        (1.0, "data.validation: 1 is not a share"),
        (-0.1, "is not a share of training"),
        (0.001, "0.001 of 100 training images is none; raise it, or set it to 0"),
        (0.99, "takes all training images of class 1; lower it"),
    ],
)
def test_a_fraction_that_cannot_be_is_explained(fraction: float, message: str) -> None:
    with pytest.raises(DataError, match=message):
        split_off(LABELS, fraction, seed=0)
