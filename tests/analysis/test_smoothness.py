from __future__ import annotations

import pytest
import torch

import tosmooth


def test_by_hand():
    # K = 3, 1 − p_y is 0.2 and 0.5: γ = 3/2 · 0.35.
    probabilities = torch.tensor([[0.8, 0.1, 0.1], [0.3, 0.2, 0.5]], dtype=torch.float64)
    assert tosmooth.smoothness(probabilities, torch.tensor([0, 2])) == pytest.approx(1.5 * 0.35)


@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_one_hot_is_zero_uniform_is_one_and_smoothed_labels_are_alpha(classes):
    labels = torch.arange(20) % classes
    one_hot = torch.nn.functional.one_hot(labels, classes).double()
    uniform = torch.full_like(one_hot, 1 / classes)
    assert tosmooth.smoothness(one_hot, labels) == 0
    assert tosmooth.smoothness(uniform, labels) == pytest.approx(1)
    assert tosmooth.smoothness(0.9 * one_hot + 0.1 * uniform, labels) == pytest.approx(0.1)


def test_a_higher_temperature_is_smoother():
    logits = 5 * torch.nn.functional.one_hot(torch.arange(6) % 4, 4).double()
    values = [tosmooth.smoothness((logits / t).softmax(1), torch.arange(6) % 4) for t in (1, 2, 8, 64)]
    assert values == sorted(values)
    assert values[-1] > 0.9


def test_what_cannot_be_right_is_refused():
    with pytest.raises(ValueError, match="at least 2 classes"):
        tosmooth.smoothness(torch.ones(3, 1), torch.zeros(3, dtype=torch.int64))
    with pytest.raises(ValueError, match="found 0 to 7"):
        tosmooth.smoothness(torch.full((2, 2), 0.5), torch.tensor([0, 7]))
    with pytest.raises(ValueError, match="one row"):
        tosmooth.smoothness(torch.full((1, 2), 0.5), torch.tensor([-100]))
