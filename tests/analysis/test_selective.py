from __future__ import annotations

import pytest
import torch

from tosmooth.analysis.calibration import ClassificationMetrics
from tosmooth.analysis.selective import risk_coverage_area


def area(confidence: list[float], correct: list[int]) -> float:
    return risk_coverage_area(torch.tensor(confidence), torch.tensor(correct))


def test_hand_worked():
    # By falling confidence: right, wrong, right, wrong. Risks at coverage 1/4 to 1: 0, 1/2, 1/3, 2/4.
    assert area([0.5, 0.9, 0.8, 0.7], [0, 1, 0, 1]) == pytest.approx((0 + 1 / 2 + 1 / 3 + 2 / 4) / 4)


def test_of_a_perfect_ranking_and_of_its_reverse():
    # Two wrong of five, the least sure ones: 0, 0, 0, 1/4, 2/5. The surest ones: 1, 1, 2/3, 2/4, 2/5.
    sure = [0.9, 0.8, 0.7, 0.6, 0.5]
    assert area(sure, [1, 1, 1, 0, 0]) == pytest.approx((1 / 4 + 2 / 5) / 5)
    assert area(sure, [0, 0, 1, 1, 1]) == pytest.approx((1 + 1 + 2 / 3 + 2 / 4 + 2 / 5) / 5)
    assert area(sure, [1] * 5) == 0
    assert area(sure, [0] * 5) == 1


def test_of_equal_confidence_it_is_the_error_rate_whatever_the_order():
    assert area([0.7] * 4, [0, 1, 1, 1]) == pytest.approx(1 / 4)
    assert (
        area([0.9, 0.7, 0.7], [1, 0, 1]) == area([0.9, 0.7, 0.7], [1, 1, 0]) == pytest.approx((0 + 1 / 4 + 1 / 3) / 3)
    )


def test_nothing_but_the_order_of_confidence_counts():
    confidence = torch.linspace(0.2, 0.9, 50)
    correct = torch.arange(50) % 3 > 0
    assert risk_coverage_area(confidence, correct) == risk_coverage_area(confidence**2, correct)


def test_the_metrics_of_a_pass_have_it_in_parts_or_whole():
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(60, 4, generator=generator), torch.randint(0, 4, (60,), generator=generator)
    confidence, predicted = logits.softmax(1).max(1)
    whole, one, other = (ClassificationMetrics(4, 2.0) for _ in range(3))
    whole.update(logits, labels)
    one.update(logits[:20], labels[:20])
    other.update(logits[20:], labels[20:])
    one.merge(other)
    expected = risk_coverage_area(confidence, predicted == labels)
    assert whole.risk_coverage_area() == pytest.approx(expected)
    assert one.risk_coverage_area() == pytest.approx(expected)
    assert one.ece_fitted() == pytest.approx(whole.ece_fitted())
    with pytest.raises(ValueError, match="at T = None"):
        one.merge(ClassificationMetrics(4))
    with pytest.raises(ValueError, match="no samples"):
        ClassificationMetrics(4).risk_coverage_area()


def test_wrong_input():
    for confidence, correct in (([], []), ([0.5], [1, 0])):
        with pytest.raises(ValueError, match=r"\(N,\)"):
            area(confidence, correct)
