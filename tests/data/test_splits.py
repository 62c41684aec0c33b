from __future__ import annotations

import pytest
import torch

from tosmooth.data.splits import split_off, stratified_choice
from tosmooth.errors import DataError


@pytest.mark.parametrize("count", [0, 1, 7, 50, 99, 100])
def test_the_choice_has_the_size_asked_for_and_keeps_shares(count):
    labels = torch.tensor([0] * 60 + [1] * 30 + [2] * 10)
    chosen = stratified_choice(labels, count, seed=0)
    assert len(chosen) == len(set(chosen.tolist())) == count
    for index, share in enumerate((0.6, 0.3, 0.1)):
        assert abs((labels[chosen] == index).sum().item() - share * count) < 1


def test_the_choice_is_seeded():
    labels = torch.arange(100) % 5
    assert torch.equal(stratified_choice(labels, 20, 3), stratified_choice(labels, 20, 3))
    assert not torch.equal(stratified_choice(labels, 20, 3), stratified_choice(labels, 20, 4))


def test_both_parts_together_are_everything():
    labels = torch.arange(97) % 4
    rest, part = split_off(labels, 0.25, 0)
    assert sorted([*rest.tolist(), *part.tolist()]) == list(range(97))
    assert len(part) == 24
    with pytest.raises(DataError, match="takes all training images"):
        split_off(torch.tensor([0, 1]), 0.5, 0)
