from __future__ import annotations

import math

import pytest
import torch

from tosmooth.analysis.class_scores import agreement, macro_f1, worst_class


def test_macro_f1_hand_worked():
    # Class 0: precision 2/3, recall 2/2, F1 4/5. Class 1: 1/1, 1/2, 2/3. Class 2: 1/1, 1/1, 1. Class 3: not there.
    labels, predicted = torch.tensor([0, 0, 1, 1, 2, -1]), torch.tensor([0, 0, 0, 1, 2, -1])
    assert macro_f1(predicted, labels, 4) == pytest.approx(100 * (4 / 5 + 2 / 3 + 1) / 3, abs=1e-4)
    assert math.isnan(macro_f1(torch.tensor([-1]), torch.tensor([-1]), 3))


def test_macro_f1_is_scikit_learns():
    metrics = pytest.importorskip("sklearn.metrics")
    generator = torch.Generator().manual_seed(0)
    labels, predicted = (torch.randint(0, 7, (80,), generator=generator) ** 2 % 11 for _ in range(2))
    expected = 100 * metrics.f1_score(labels.numpy(), predicted.numpy(), average="macro")
    assert macro_f1(predicted.int(), labels.int(), 11) == pytest.approx(expected, abs=1e-4)


def test_the_worst_class_has_enough_samples():
    labels = torch.tensor([0] * 20 + [1] * 25 + [2] * 19 + [-1])
    predicted = torch.tensor([0] * 18 + [1] * 2 + [1] * 15 + [0] * 10 + [0] * 19 + [-1])
    assert worst_class(predicted, labels) == pytest.approx(100 * 15 / 25)
    assert worst_class(predicted, labels, fewest=1) == 0
    assert math.isnan(worst_class(predicted, labels, fewest=26))
    assert math.isnan(worst_class(torch.tensor([-1]), torch.tensor([-1])))


def test_agreement_is_of_answers_right_or_wrong():
    one, other = torch.tensor([0, 1, 2, 3, -1]), torch.tensor([0, 2, 2, -1, 4])
    assert agreement(one, other) == pytest.approx(100 * 2 / 3)
    assert agreement(one, one) == 100
    assert math.isnan(agreement(one, -torch.ones_like(one)))
    with pytest.raises(ValueError, match="other samples"):
        agreement(one, other[:3])
