from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor
from torchmetrics import MetricCollection

import tosmooth
from tests.integrations.models import TinyNet, images
from tosmooth.analysis.confusions import errors_on
from tosmooth.analysis.separation import ClassSeparation, separation_from
from tosmooth.integrations.torchmetrics import DiffusionIndex, ErrorsOn, Separation, Stability


def measured(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Features (256, 96), probabilities (256, 10) and labels of real images."""
    pixels, labels = images(0, 256)
    with tosmooth.PenultimateFeatures(TinyNet(seed).eval(), 10) as features_of, torch.no_grad():
        logits, features = features_of(pixels)
    return features + 30, logits.softmax(1), labels  # a mean far from 0, which sums of squares suffer from


def accumulated(features: Tensor, labels: Tensor) -> tosmooth.ClassCentroids:
    found = tosmooth.ClassCentroids(10, features.shape[1])
    found.update(features, labels)
    return found


@pytest.fixture(scope="module")
def pair() -> tuple[tosmooth.ClassCentroids, tosmooth.ClassCentroids, Tensor]:
    """Centroids of two networks, and who is similar by a third."""
    (first, _, labels), (second, _, _), (third, _, _) = (measured(seed) for seed in range(3))
    mask, _ = tosmooth.similar_classes(accumulated(third, labels), m=3)
    return accumulated(first, labels), accumulated(second, labels), mask


@pytest.mark.parametrize("settings", [{}, {"debias": True}, {"normalisation": "within_spread"}], ids=str)
def test_diffusion_index_in_batches_is_the_functional_one(pair: Any, settings: dict[str, Any]) -> None:
    reference, raised, mask = pair
    features, _, labels = measured(1)
    expected = tosmooth.diffusion_index(reference, raised, mask, **settings)
    labels_with_gaps = torch.cat([labels, torch.full((3,), -100)])
    features = torch.cat([features, torch.full((3, 96), float("nan"))])
    metric = DiffusionIndex(10, 96, mask, reference, per_class=True, **settings)
    for part in torch.arange(259).split(50):
        metric.update(features[part], labels_with_gaps[part])
    torch.testing.assert_close(metric.compute(), expected, rtol=1e-8, atol=1e-10)
    mean = DiffusionIndex(10, 96, mask, reference, **settings)
    assert float(mean(features, labels_with_gaps)) == pytest.approx(float(expected.nanmean()))
    assert float(mean.compute()) == pytest.approx(float(expected.nanmean()))
    assert torch.isnan(DiffusionIndex(10, 96, mask, reference).compute())


def test_centroids_are_stored_and_kept_as_the_reference(pair: Any) -> None:
    reference, raised, mask = pair
    (first, _, labels), (second, _, _) = measured(0), measured(1)
    metric = DiffusionIndex(10, 96, mask)
    metric.update(first, labels)
    with pytest.raises(ValueError, match="η needs a reference"):
        metric.compute()
    torch.testing.assert_close(metric.class_centroids().centroids, reference.centroids)
    torch.testing.assert_close(metric.class_centroids().within_scatter, reference.within_scatter)
    assert metric.class_centroids().counts.tolist() == reference.counts.tolist()
    metric.keep_as_reference()
    metric.update(second, labels)
    expected = float(tosmooth.diffusion_index(reference, raised, mask).nanmean())
    assert float(metric.compute()) == pytest.approx(expected)
    metric.reset()
    metric.update(first, labels)
    assert float(metric.compute()) == pytest.approx(0, abs=1e-12)


def test_stability_in_batches_is_the_functional_one() -> None:
    _, probabilities, labels = measured(0)
    metric = Stability(10)
    for part in torch.arange(256).split(50):
        metric.update(probabilities[part], labels[part])
    assert float(metric.compute()) == pytest.approx(tosmooth.stability(probabilities, labels), rel=1e-10)


def test_separation_in_batches_and_parts_is_the_one_of_two_passes(pair: Any) -> None:
    _, raised, mask = pair
    features, _, labels = measured(1)
    two_passes = ClassSeparation(raised.centroids, mask)
    two_passes.update(features, labels)
    expected = separation_from(two_passes.d_prime(), mask)
    labels_with_gaps = torch.cat([labels, torch.full((3,), -100)])
    features = torch.cat([features, torch.full((3, 96), float("nan"))])
    metric, other = Separation(10, 96, mask), Separation(10, 96, mask)
    for number, part in enumerate(torch.arange(259).split(50)):
        (other if number % 2 else metric).update(features[part], labels_with_gaps[part])
    metric.merge_state(other)
    assert float(metric.compute()) == pytest.approx(expected, rel=1e-6)
    assert torch.isnan(Separation(10, 96, mask).compute())
    with pytest.raises(ValueError, match="takes a second pass instead"):
        Separation(1000, 2048, torch.ones(1000, 1000, dtype=torch.bool))
    with pytest.raises(ValueError, match="the mask must be boolean"):
        Separation(10, 96, torch.ones(10, 10))


def test_errors_in_batches_are_the_functional_share(pair: Any) -> None:
    mask = pair[2]
    _, probabilities, labels = measured(1)
    labels[:5] = -100
    expected = errors_on(probabilities.argmax(1), labels, mask)
    metric, of_classes = ErrorsOn(10, mask), ErrorsOn(10, mask)
    for part in torch.arange(256).split(50):
        metric.update(probabilities[part], labels[part])
        of_classes.update(probabilities[part].argmax(1), labels[part])
    assert 0 < expected < 100
    assert float(metric.compute()) == pytest.approx(expected)
    assert float(of_classes.compute()) == pytest.approx(expected)
    assert torch.isnan(ErrorsOn(10, mask).compute())
    with pytest.raises(ValueError, match="the mask must be boolean"):
        ErrorsOn(9, mask)


def test_what_torchmetrics_does_with_its_metrics(pair: Any) -> None:
    reference, raised, mask = pair
    features, probabilities, labels = measured(1)
    expected = float(tosmooth.diffusion_index(reference, raised, mask).nanmean())
    metric = DiffusionIndex(10, 96, mask, reference)
    metric.half()  # of the module that holds it: states and reference stay as exact as they are
    collection = MetricCollection({"eta": metric, "eta_too": metric.clone()})
    collection.update(features, labels)
    assert {name: float(value) for name, value in collection.compute().items()} == pytest.approx(
        {"eta": expected, "eta_too": expected}
    )
    again = pickle.loads(pickle.dumps(copy.deepcopy(metric)))
    assert float(again.compute()) == pytest.approx(expected)
    assert metric.sums.dtype == torch.float64
    together = metric.clone()
    together.merge_state(again)
    assert together.class_centroids().counts.tolist() == (2 * raised.counts).tolist()
    stability = Stability(10)
    stability.update(probabilities, labels)
    stability.reset()
    with pytest.raises(ValueError, match="no samples"):
        stability.compute()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"mask": torch.ones(9, 9, dtype=torch.bool)}, "mask"),
        ({"mask": torch.ones(10, 10)}, "mask"),
        ({"mask": torch.ones(10, 10), "reference": None}, "the mask must be boolean"),
        ({"reference": torch.zeros(7, 96)}, "reference has 7 classes"),
        ({"reference": torch.zeros(10, 96), "debias": True}, "debias=True needs ClassCentroids"),
        ({"normalisation": "mean_distances"}, "did you mean 'mean_distance'"),
        ({"num_features": 0}, "at least one class and one feature"),
    ],
)
def test_mistakes_are_refused_at_construction(pair: Any, settings: dict[str, Any], reason: str) -> None:
    given = {"num_classes": 10, "num_features": 96, "mask": pair[2], "reference": pair[0], **settings}
    with pytest.raises(ValueError, match=reason):
        DiffusionIndex(**given)


def test_mistakes_in_what_is_added(pair: Any) -> None:
    with pytest.raises(ValueError, match=r"\(N, 96\)"):
        DiffusionIndex(10, 96, pair[2]).update(torch.zeros(4, 95), torch.zeros(4, dtype=torch.long))
    with pytest.raises(ValueError, match="were logits given"):
        Stability(10).update(3 * torch.randn(4, 10), torch.zeros(4, dtype=torch.long))
    with pytest.raises(ValueError, match="nothing to keep"):
        DiffusionIndex(10, 96, pair[2]).keep_as_reference()
