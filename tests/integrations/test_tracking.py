from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

import tosmooth
from tests.integrations.models import TinyNet, images, marian, sentences, stacked, vit
from tosmooth.analysis.calibration import ClassificationMetrics
from tosmooth.analysis.confusions import errors_on
from tosmooth.analysis.separation import ClassSeparation, separation_from
from tosmooth.integrations.tracking import TrainingTracker


def loader(batch: int = 48) -> DataLoader[Any]:
    return DataLoader(TensorDataset(*images(0, 256)), batch_size=batch)


def measured(model: torch.nn.Module) -> tuple[Tensor, Tensor, Tensor]:
    pixels, labels = images(0, 256)
    with tosmooth.PenultimateFeatures(model.eval(), 10) as features_of, torch.no_grad():
        return (*features_of(pixels), labels)


def centroids_of(model: torch.nn.Module) -> tosmooth.ClassCentroids:
    _, features, labels = measured(model)
    found = tosmooth.ClassCentroids(10, features.shape[1])
    found.update(features, labels)
    return found


@pytest.fixture(scope="module")
def masks() -> tuple[Tensor, Tensor]:
    return tosmooth.similar_classes(centroids_of(TinyNet(9)), m=3)


@pytest.mark.parametrize("debias", [False, True])
def test_numbers_against_given_centroids_are_those_of_the_functions(masks: Any, debias: bool) -> None:
    at_t1, student = centroids_of(TinyNet(4)), TinyNet(0).train()
    tracker = TrainingTracker(10, *masks, reference=at_t1, debias=debias, separation=True)
    found = tracker.evaluate(student, loader())
    assert all(module.training for module in student.modules()), "left in the mode it was in"
    logits, _, labels = measured(student)
    metrics = ClassificationMetrics(10)
    metrics.update(logits, labels)
    s1, s2 = (
        float(tosmooth.diffusion_index(at_t1, centroids_of(student), mask, debias=debias).nanmean()) for mask in masks
    )
    _, features, _ = measured(student)
    separation = ClassSeparation(centroids_of(student).centroids, masks[0] | masks[1])
    separation.update(features, labels)
    expected = {
        **metrics.compute(),
        **{f"errors_s{n}": errors_on(logits.argmax(1), labels, mask) for n, mask in enumerate(masks, 1)},
        **{f"d_prime_s{n}": separation_from(separation.d_prime(), mask) for n, mask in enumerate(masks, 1)},
        "eta_s1": s1, "eta_s2": s2, "eta_difference": s1 - s2,
    }  # fmt: skip
    assert found == pytest.approx(expected, rel=1e-5)
    assert list(found) == list(expected)
    assert tracker.reference_name == "given centroids"
    torch.testing.assert_close(tracker.centroids.centroids, centroids_of(student).centroids)


def test_without_a_reference_eta_is_the_movement_since_the_first_evaluation(masks: Any) -> None:
    student = TinyNet(0)
    tracker = TrainingTracker(10, *masks)
    assert tracker.evaluate(student, loader())["eta_s1"] == 0
    first = centroids_of(student)
    optimizer = torch.optim.SGD(student.parameters(), lr=0.5)
    for pixels, labels in loader():
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(student.train()(pixels), labels).backward()
        optimizer.step()
    found = tracker.evaluate(student, loader())
    expected = float(tosmooth.diffusion_index(first, centroids_of(student), masks[0]).nanmean())
    assert found["eta_s1"] == pytest.approx(expected, rel=1e-5)
    assert expected != 0
    assert tracker.reference_name == "this student's first evaluation"


def test_a_loop_of_ones_own_gives_logits_features_or_both(masks: Any) -> None:
    logits, features, labels = measured(TinyNet(0))
    labels[:5] = -100
    logits[:5] = float("nan")
    only_logits, only_features = TrainingTracker(10), TrainingTracker(10, *masks, reference=centroids_of(TinyNet(4)))
    for part in torch.arange(256).split(60):
        only_logits.update(logits[part], None, labels[part])
        only_features.update(None, features[part], labels[part])
    metrics = ClassificationMetrics(10)
    metrics.update(logits[5:], labels[5:])
    assert only_logits.compute() == pytest.approx(metrics.compute())
    assert set(only_features.compute()) == {"eta_s1", "eta_s2", "eta_difference"}
    with pytest.raises(ValueError, match="no features were given"):
        _ = only_logits.centroids


def test_dictionaries_and_sentences() -> None:
    pixels, labels = images(0, 32)
    model = vit(0)
    found = TrainingTracker(10).evaluate(model, [{"pixel_values": pixels, "labels": labels}])
    metrics = ClassificationMetrics(10)
    with torch.no_grad():
        metrics.update(model.eval()(pixels).logits, labels)
    assert found == pytest.approx(metrics.compute())
    inputs, translator = stacked(sentences(4)), marian(0)
    with torch.no_grad():
        outputs = translator(**inputs, output_hidden_states=True)
    vocabulary = outputs.logits.shape[-1]
    tracker = TrainingTracker(vocabulary)
    tracker.update(outputs.logits, outputs.decoder_hidden_states[-1], inputs["labels"])
    kept = inputs["labels"] != -100
    assert int(tracker.centroids.counts.sum()) == int(kept.sum())
    expected = torch.nn.functional.cross_entropy(outputs.logits[kept], inputs["labels"][kept])
    assert tracker.compute()["nll"] == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"dissimilar": None}, "belong together"),
        ({"similar": torch.ones(9, 9, dtype=torch.bool)}, "the mask 'similar' must be boolean"),
        ({"reference": "last"}, "or 'first', got 'last'"),
        ({"reference": torch.zeros(7, 4)}, "the reference has 7 classes"),
        ({"reference": torch.zeros(10, 4), "debias": True}, "needs a reference of ClassCentroids"),
        ({"reference": torch.zeros(10, 4), "similar": None, "dissimilar": None}, "a reference needs the masks"),
        ({"separation": True, "similar": None, "dissimilar": None}, "separation=True needs the masks"),
        ({"num_classes": 1, "similar": None, "dissimilar": None}, "at least 2 classes"),
    ],
)
def test_mistakes_are_refused_at_construction(masks: Any, settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        TrainingTracker(**{"num_classes": 10, "similar": masks[0], "dissimilar": masks[1], **settings})


def test_mistakes_in_what_is_added(masks: Any) -> None:
    tracker = TrainingTracker(10, *masks)
    with pytest.raises(ValueError, match="nothing was given"):
        tracker.compute()
    with pytest.raises(ValueError, match=r"logits \(4, 10\) and labels \(5,\) do not fit"):
        tracker.update(torch.zeros(4, 10), None, torch.zeros(5, dtype=torch.long))
    with pytest.raises(ValueError, match="has no labels"):
        tracker.evaluate(TinyNet(0), [images(0, 4)[0]])


def test_a_scatter_that_does_not_fit_is_refused_when_features_come(masks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tosmooth.analysis.separation.LARGEST_SCATTER", 1000)
    with pytest.raises(ValueError, match="takes a second pass instead"):
        TrainingTracker(10, *masks, separation=True).evaluate(TinyNet(0), loader())
