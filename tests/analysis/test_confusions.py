from __future__ import annotations

import math

import pytest
import torch

from tosmooth.analysis.confusions import errors_on

# Of four classes, 0 and 1 resemble one another, and so do 2 and 3.
SIMILAR = torch.tensor([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]], dtype=torch.bool)
DISSIMILAR = ~SIMILAR & ~torch.eye(4, dtype=torch.bool)


def test_errors_are_counted_by_where_they_land():
    labels = torch.tensor([0, 0, 0, 1, 2, 3, 3, 3, 2, 1])
    predicted = torch.tensor([0, 1, 2, 0, 2, 3, 2, 0, 2, 1])
    assert errors_on(predicted, labels, SIMILAR) == pytest.approx(30)  # 0 → 1, 1 → 0, 3 → 2
    assert errors_on(predicted, labels, DISSIMILAR) == pytest.approx(20)  # 0 → 2, 3 → 0


def test_both_sets_and_the_right_answers_are_all_there_is():
    torch.manual_seed(0)
    labels, predicted = torch.randint(0, 4, (2, 500))
    right = 100 * float((labels == predicted).double().mean())
    assert errors_on(predicted, labels, SIMILAR) + errors_on(predicted, labels, DISSIMILAR) + right == pytest.approx(
        100
    )
    order = torch.randperm(500)
    assert errors_on(predicted[order], labels[order], SIMILAR) == errors_on(predicted, labels, SIMILAR)


def test_a_set_that_holds_the_class_itself_makes_no_error_of_a_right_answer():
    labels = torch.arange(4)
    assert errors_on(labels, labels, torch.ones(4, 4, dtype=torch.bool)) == 0


def test_unread_samples_do_not_count_and_none_at_all_is_not_a_number():
    labels, predicted = torch.tensor([0, -1, 1]), torch.tensor([1, -1, 1])
    assert errors_on(predicted, labels, SIMILAR) == pytest.approx(50)
    assert math.isnan(errors_on(predicted[1:2], labels[1:2], SIMILAR))


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"got \(2,\), \(3,\) and \(4, 4\)"):
        errors_on(torch.zeros(2), torch.zeros(3), SIMILAR)
