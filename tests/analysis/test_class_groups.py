from __future__ import annotations

import math

import pytest
import torch

from tosmooth.analysis.class_groups import agreement, groups_by_ending, groups_by_label, name_ending
from tosmooth.analysis.similarity import masks_from_groups


def test_equal_labels_are_a_group_and_none_is_in_none():
    assert groups_by_label(["fish", "bird", None, "fish", None]) == [[0, 3], [1]]


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("Black footed Albatross", "albatross"),
        ("001.Black_footed_Albatross", "albatross"),
        ("Chuck will Widow ", "widow"),
        ("Green-tailed Towhee", "towhee"),
        ("T-shirt/top", "top"),
        ("wren", "wren"),
        ("日本 鳥", "鳥"),
        ("", None),
        (" _./ ", None),
    ],
)
def test_the_ending_is_the_last_word(name: str, ending: str | None):
    assert name_ending(name) == ending


def test_birds_are_grouped_by_the_last_word_of_their_names():
    names = [
        "Black footed Albatross",
        "Laysan_albatross",
        "Hooded Warbler",
        "Pine Warbler",
        "Ovenbird",
        "<b>\u202e</b>",
    ]
    assert groups_by_ending(names) == [[0, 1], [2, 3], [4], [5]]
    similar, dissimilar = masks_from_groups(groups_by_ending(names), len(names))
    assert similar[0].nonzero().flatten().tolist() == [1]
    assert not similar[4].any()
    assert dissimilar[0].nonzero().flatten().tolist() == [2, 3, 4, 5]


def test_agreement_by_hand():
    first = torch.tensor([[0, 1, 0], [1, 0, 0], [0, 1, 0]], dtype=torch.bool)
    second = torch.tensor([[0, 1, 1], [0, 0, 0], [1, 0, 0]], dtype=torch.bool)
    assert agreement(first, second) == (pytest.approx(1 / 3), pytest.approx(3 / 6))
    assert agreement(first, first) == (1.0, pytest.approx(3 / 6))
    assert all(math.isnan(value) for value in agreement(torch.zeros_like(first), second))
    with pytest.raises(ValueError, match=r"masks \(K, K\)"):
        agreement(first, second[:2])
