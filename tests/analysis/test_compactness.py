from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import tosmooth


def _seen(features: Tensor, labels: Tensor) -> tosmooth.ClassCentroids:
    found = tosmooth.ClassCentroids(int(labels.max()) + 1, features.shape[1])
    found.update(features, labels)
    return found


def test_by_hand():
    # Class 0: 0 and 2, mean 1, within 2. Class 1: 10, mean 10, within 0. The mean of all is 4: between 2·9 + 1·36 = 54.
    found = _seen(torch.tensor([[0.0], [2.0], [10.0]]), torch.tensor([0, 0, 1]))
    assert tosmooth.within_class_compactness(found) == pytest.approx(2 / 54)


def test_scaling_rotation_and_translation_change_nothing():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(90, 5, generator=generator, dtype=torch.float64) + (torch.arange(90) % 3)[:, None]
    labels = torch.arange(90) % 3
    plain = tosmooth.within_class_compactness(_seen(features, labels))
    rotation = torch.linalg.qr(torch.randn(5, 5, generator=generator, dtype=torch.float64)).Q
    assert 0 < plain < math.inf
    for moved in (7.3 * features, features @ rotation, features + 1000, 0.01 * features @ rotation - 3):
        assert tosmooth.within_class_compactness(_seen(moved, labels)) == pytest.approx(plain)


def test_it_is_the_ratio_of_traces_of_the_scatter_matrices_and_tighter_is_lower():
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(50, 3, generator=generator, dtype=torch.float64)
    labels = torch.arange(50) % 4
    centres = torch.randn(4, 3, generator=generator, dtype=torch.float64)[labels]
    values = {}
    for spread in (0.1, 1.0):
        features = centres + spread * noise
        means = torch.stack([features[labels == c].mean(0) for c in range(4)])[labels]
        within, between = features - means, means - features.mean(0)
        expected = float(torch.trace(within.T @ within) / torch.trace(between.T @ between))
        values[spread] = tosmooth.within_class_compactness(_seen(features, labels))
        assert values[spread] == pytest.approx(expected)
    assert values[0.1] < values[1.0]


def test_classes_without_samples_do_not_count_and_collapse_is_told():
    features, labels = torch.tensor([[0.0], [2.0], [10.0]]), torch.tensor([0, 0, 1])
    wide = tosmooth.ClassCentroids(5, 1)
    wide.update(features, labels)
    assert tosmooth.within_class_compactness(wide) == pytest.approx(2 / 54)
    assert tosmooth.within_class_compactness(_seen(torch.tensor([[0.0], [2.0], [1.0]]), labels)) == math.inf
    assert math.isnan(tosmooth.within_class_compactness(_seen(torch.ones(3, 1), labels)))
    with pytest.raises(ValueError, match="two classes"):
        tosmooth.within_class_compactness(_seen(features, torch.zeros(3, dtype=torch.int64)))
