from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from tosmooth.analysis import temperature
from tosmooth.analysis.calibration import ClassificationMetrics
from tosmooth.analysis.temperature import TemperatureFit, fit_temperature


def some(seed: int = 0, samples: int = 400, classes: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits that are right about as often as they say, but for chance."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(samples, classes, generator=generator)
    return logits, torch.multinomial(logits.softmax(1), 1, generator=generator).squeeze(1)


def fitted(logits: torch.Tensor, labels: torch.Tensor) -> float:
    found = fit_temperature(logits, labels)
    assert found is not None
    return found


def test_hand_worked():
    # Two classes, logits 2 and 0, three of four right: 1 / (1 + exp(−2/T)) = 3/4 at T = 2 / ln 3.
    logits = torch.tensor([[2.0, 0.0]]).repeat(4, 1)
    assert fitted(logits, torch.tensor([0, 0, 1, 0])) == pytest.approx(2 / math.log(3), rel=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.1, 10), st.integers(0, 5))
def test_scaled_logits_have_a_scaled_temperature(factor: float, seed: int):
    logits, labels = some(seed)
    assert fitted((factor * logits).double(), labels) == pytest.approx(factor * fitted(logits.double(), labels))


def test_three_times_the_logits_have_three_times_the_temperature():
    logits, labels = some()
    assert fitted(3 * logits, labels) == pytest.approx(3 * fitted(logits, labels), rel=1e-5)


def test_no_other_temperature_makes_the_labels_likelier():
    logits, labels = some(1)
    logits = 4 * logits
    found = fitted(logits, labels)
    best = float(F.cross_entropy(logits / found, labels))
    assert all(best < float(F.cross_entropy(logits / (factor * found), labels)) for factor in (0.5, 0.9, 1.1, 2))


def test_it_repairs_the_calibration_of_logits_that_are_only_scaled():
    logits, labels = some(2, samples=20_000)
    known, fresh = ClassificationMetrics(5, fitted(5 * logits[:10_000], labels[:10_000])), ClassificationMetrics(5)
    for metrics in (known, fresh):
        metrics.update(5 * logits[10_000:], labels[10_000:])
    assert known.compute() == fresh.compute()
    assert fresh.ece_fitted() is None
    found = known.ece_fitted()
    assert found is not None
    assert found < 0.02 < 0.2 < known.compute()["ece"]


@pytest.mark.parametrize(
    ("logits", "labels"),
    [
        ([[2.0, 0.0], [0.0, 2.0]], [0, 1]),  # all right: the lower T, the better
        ([[2.0, 0.0], [2.0, 0.0]], [0, 1]),  # as often right as by chance: the higher, the better
        ([[2.0, 0.0], [2.0, 0.0]], [1, 1]),
        ([[0.0, 0.0], [0.0, 0.0]], [0, 1]),  # no T changes anything
        ([[2.0, -math.inf], [2.0, 0.0]], [1, 0]),  # a label that the model rules out
    ],
)
def test_none_where_no_temperature_is_the_best(logits: list[list[float]], labels: list[int]):
    assert fit_temperature(torch.tensor(logits), torch.tensor(labels)) is None


def test_outputs_that_are_ruled_out_change_nothing():
    logits, labels = some(3)
    wider = torch.cat([logits, torch.full((len(logits), 2), -math.inf)], 1)
    assert fitted(wider, labels) == pytest.approx(fitted(logits, labels))


def test_of_a_large_split_a_part_is_kept_spread_over_all_of_it(monkeypatch: pytest.MonkeyPatch):
    logits, labels = some(4)
    monkeypatch.setattr(temperature, "MOST_KEPT", 5 * 100)
    fit = TemperatureFit(len(labels), 5)
    for part in torch.arange(400).split(64):
        fit.update(logits[part], labels[part], part)
    assert fit.compute() == pytest.approx(fitted(logits[::4], labels[::4]))


def test_parts_of_two_processes_are_fitted_as_one(monkeypatch: pytest.MonkeyPatch):
    logits, labels = some(5)
    whole = TemperatureFit(400, 5)
    whole.update(logits, labels, torch.arange(400))
    monkeypatch.setattr(temperature, "MOST_AT_ONCE", 5 * 7)
    half = TemperatureFit(400, 5)
    half.update(logits[::2], labels[::2], torch.arange(0, 400, 2))
    half.update(logits[1::2], labels[1::2], torch.arange(1, 400, 2))
    assert half.compute() == pytest.approx(whole.compute())
    assert half.compute(lambda own: 2 * own) == pytest.approx(whole.compute())
