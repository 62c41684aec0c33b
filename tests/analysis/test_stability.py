from __future__ import annotations

import pytest
import torch

import tosmooth
from tosmooth.analysis.centroids import ClassCentroids
from tosmooth.analysis.stability import stability_from


def test_by_hand():
    # Class 0: (0.8, 0.2) and (0.4, 0.6), mean (0.6, 0.4): each lies 0.04 + 0.04 = 0.08 away. Class 1: one sample, 0.
    probabilities = torch.tensor([[0.8, 0.2], [0.4, 0.6], [0.1, 0.9]], dtype=torch.float64)
    assert tosmooth.stability(probabilities, torch.tensor([0, 0, 1])) == pytest.approx(1 - (0.08 + 0) / 2)


def test_equal_answers_within_classes_give_one_and_one_hot_disagreement_the_least():
    same = torch.tensor([[0.7, 0.2, 0.1], [0.7, 0.2, 0.1], [0.0, 0.5, 0.5]], dtype=torch.float64)
    assert tosmooth.stability(same, torch.tensor([0, 0, 2])) == pytest.approx(1)
    # Two one-hot answers to one class: the mean (1/2, 1/2) lies 1/2 away from both.
    apart = torch.eye(2, dtype=torch.float64)
    assert tosmooth.stability(apart, torch.tensor([0, 0])) == pytest.approx(0.5)


def test_batches_give_what_the_whole_gives_and_ignored_rows_do_not_count():
    generator = torch.Generator().manual_seed(0)
    probabilities = (3 * torch.randn(60, 4, generator=generator, dtype=torch.float64)).softmax(1)
    labels = torch.arange(60) % 4
    seen = ClassCentroids(4, 4)
    for part in torch.arange(60).split(7):
        seen.update(probabilities[part], labels[part])
    whole = tosmooth.stability(probabilities, labels)
    assert stability_from(seen) == pytest.approx(whole)
    more = torch.cat([probabilities, torch.full((5, 4), float("nan"), dtype=torch.float64)])
    assert tosmooth.stability(more, torch.cat([labels, torch.full((5,), -100)])) == pytest.approx(whole)


@pytest.mark.parametrize(
    ("probabilities", "labels", "reason"),
    [
        (torch.randn(3, 4) * 9, torch.tensor([0, 1, 2]), "were logits given"),
        (torch.full((2, 2), float("nan")), torch.tensor([0, 1]), "sum to 1"),
        (torch.full((2, 2), 0.5), torch.tensor([0, 2]), r"\[0, 2\)"),
        (torch.full((2, 2), 0.5), torch.tensor([0]), r"\(N, K\)"),
        (torch.full((2, 2), 0.5), torch.tensor([0.0, 1.0]), "integers"),
        (torch.full((2, 2), 0.5), torch.tensor([-100, -100]), "no samples"),
    ],
)
def test_what_cannot_be_right_is_refused(probabilities, labels, reason):
    with pytest.raises(ValueError, match=reason):
        tosmooth.stability(probabilities, labels)
