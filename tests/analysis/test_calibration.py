from __future__ import annotations

import math

import pandas as pd
import pytest
import torch

from tosmooth.analysis import parts
from tosmooth.analysis.calibration import BINS, ClassificationMetrics


def test_hand_worked():
    # Two classes. Probabilities of the predicted class: 0.9 right, 0.9 wrong, 0.6 right.
    probabilities = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]])
    metrics = ClassificationMetrics(2)
    metrics.update(probabilities[:2].log(), torch.tensor([0, 1]))
    metrics.update(probabilities[2:].log(), torch.tensor([1]))
    found = metrics.compute()
    assert found["top1"] == pytest.approx(200 / 3, abs=1e-3)
    assert found["top5"] == 100.0  # both classes are among the top five
    assert found["nll"] == pytest.approx(-(math.log(0.9) + math.log(0.1) + math.log(0.6)) / 3, rel=1e-6)
    # Bins: {0.9, 0.9}: accuracy 0.5, gap 0.4, weight 2/3; {0.6}: accuracy 1, gap 0.4, weight 1/3.
    assert found["ece"] == pytest.approx(0.4, abs=1e-6)


def test_the_reliability_curve_adds_up_to_the_ece():
    generator = torch.Generator().manual_seed(0)
    metrics = ClassificationMetrics(8)
    for _ in range(4):
        metrics.update(3 * torch.randn(100, 8, generator=generator), torch.randint(0, 8, (100,), generator=generator))
    table = metrics.reliability()
    assert len(table) == BINS
    assert table["count"].sum() == 400
    filled = table[table["count"] > 0]
    ece = ((filled.accuracy - filled.confidence).abs() * filled["count"]).sum() / 400
    assert metrics.compute()["ece"] == pytest.approx(ece, abs=1e-5)


def test_top5_counts_the_fifth_but_not_the_sixth():
    logits = torch.arange(10.0).flip(0).repeat(2, 1)
    metrics = ClassificationMetrics(10)
    metrics.update(logits, torch.tensor([4, 5]))
    assert metrics.compute()["top5"] == 50.0
    assert metrics.compute()["top1"] == 0.0


@pytest.mark.parametrize("temperature", [None, 2.5])
def test_the_numbers_are_those_of_torchmetrics(temperature, monkeypatch):
    classification = pytest.importorskip("torchmetrics.classification")
    monkeypatch.setitem(parts.AT_ONCE, "cpu", 100 * 12)  # several parts a batch
    generator = torch.Generator().manual_seed(1)
    logits, labels = 3 * torch.randn(2000, 12, generator=generator), torch.randint(0, 12, (2000,), generator=generator)
    logits[torch.arange(2000), labels] += 4 * torch.rand(2000, generator=generator)
    metrics = ClassificationMetrics(12, temperature)
    for rows in (slice(0, 700), slice(700, 2000)):
        metrics.update(logits[rows], labels[rows])

    def theirs(metric, given=logits):
        metric.update(given, labels)
        return float(metric.compute())

    def error(given):
        return theirs(classification.MulticlassCalibrationError(12, n_bins=BINS), given.softmax(1))

    found = metrics.compute()
    for key, k in (("top1", 1), ("top5", 5)):
        accuracy = theirs(classification.MulticlassAccuracy(12, average="micro", top_k=k))
        assert found[key] == pytest.approx(100 * accuracy, abs=1e-4)
    assert found["ece"] == pytest.approx(error(logits), abs=1e-6)
    if temperature is not None:
        assert metrics.ece_fitted() == pytest.approx(error(logits / temperature), abs=1e-6)


def test_wrong_input():
    metrics = ClassificationMetrics(3)
    with pytest.raises(ValueError, match="no samples"):
        metrics.compute()
    with pytest.raises(ValueError, match=r"\(N, 3\)"):
        metrics.update(torch.zeros(2, 4), torch.zeros(2, dtype=torch.int64))


def test_a_confidence_of_one_shares_the_last_bin():
    # Confidence 1 and wrong, 0.95 and right: one bin with accuracy 0.5 and confidence 0.975. In bins of their own the
    # error would be (1 + 0.05) / 2 = 0.525.
    metrics = ClassificationMetrics(2)
    metrics.update(torch.tensor([[200.0, 0.0], [math.log(19), 0.0]]), torch.tensor([1, 0]))
    assert metrics.compute()["ece"] == pytest.approx(0.475, abs=1e-6)
    assert metrics.reliability()["count"].tolist() == [0] * (BINS - 1) + [2]


def test_brier_by_hand():
    # (0.9 − 1)² + 0.1² = 0.02 where right, 0.9² + (0.1 − 1)² = 1.62 where wrong.
    metrics = ClassificationMetrics(2)
    metrics.update(torch.tensor([[0.9, 0.1], [0.9, 0.1]]).log(), torch.tensor([0, 1]))
    assert metrics.compute()["brier"] == pytest.approx((0.02 + 1.62) / 2, rel=1e-6)


@pytest.mark.parametrize(
    ("logits", "labels", "reason"),
    [
        (torch.zeros(2, 3), torch.tensor([0, 3]), r"in \[0, 3\); found 0 to 3"),
        (torch.zeros(2, 3), torch.tensor([-100, 1]), "found -100 to 1"),
        (torch.tensor([[0.0, math.nan, 0.0]]), torch.tensor([0]), "NaN"),
    ],
)
def test_a_refused_batch_adds_nothing(logits, labels, reason):
    metrics = ClassificationMetrics(3)
    metrics.update(torch.eye(3), torch.tensor([0, 1, 2]))
    before = metrics.compute()
    with pytest.raises(ValueError, match=reason):
        metrics.update(logits, labels)
    assert metrics.compute() == before


def test_merged_parts_equal_one_pass():
    random = torch.Generator().manual_seed(3)
    logits, labels = torch.randn(90, 7, generator=random), torch.randint(0, 7, (90,), generator=random)
    whole, parts = ClassificationMetrics(7), [ClassificationMetrics(7) for _ in range(3)]
    whole.update(logits, labels)
    for part, rows in zip(parts, (slice(0, 50), slice(50, 50), slice(50, 90)), strict=True):  # one without samples
        if rows.start < rows.stop:
            part.update(logits[rows], labels[rows])
        if part is not parts[0]:
            parts[0].merge(part)
    assert parts[0].count == 90
    assert parts[0].compute() == pytest.approx(whole.compute(), rel=1e-6)
    pd.testing.assert_frame_equal(parts[0].reliability(), whole.reliability())
    with pytest.raises(ValueError, match="cannot merge"):
        whole.merge(ClassificationMetrics(8))


def test_infinite_logits_make_the_calibration_error_nan():
    metrics = ClassificationMetrics(3)
    metrics.update(torch.tensor([[0.0, 0.0, math.inf], [0.0, 1.0, 0.0]]), torch.tensor([2, 1]))
    found = metrics.compute()
    assert (found["top1"], math.isnan(found["ece"])) == (100, True)
    assert metrics.reliability()["count"].sum() == 2
