from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from tosmooth.analysis.label_smoothing import SmoothingEstimate, estimate_label_smoothing
from tosmooth.analysis.soft_targets import SoftTarget
from tosmooth.audit.advice import advise

TARGETS = [SoftTarget(1, 0.5, 0.9, 0.4), SoftTarget(2, 1.7, 0.5, 0.36), SoftTarget(8, 2.2, 0.2, 0.34)]


def estimate(
    margin: float, classes: int = 10, samples: int = 500, spread: float = 0.05, **told: Any
) -> SmoothingEstimate:
    """Of logits that lie `margin` apart, give or take the spread."""
    torch.manual_seed(0)
    labels = torch.arange(samples) % classes
    logits = F.one_hot(labels, classes) * margin + spread * torch.randn(samples, classes)
    return estimate_label_smoothing(logits.log_softmax(1) if told.pop("normalised", False) else logits, labels, **told)


def by_rule(smoothing: SmoothingEstimate, training_data: bool | None = True) -> dict[str, str]:
    return {item.rule: item.text for item in advise(smoothing, TARGETS, training_data, similar_share=1 / 3)}


def test_a_smoothed_teacher_is_for_low_temperatures():
    said = by_rule(estimate(4.5))
    assert said.keys() == {"low-temperature", "raised-temperature", "not-seen"}
    assert said["low-temperature"].startswith("Distil at T = 1.")
    assert "at T = 2 the target class keeps 50% of the mass (T = 1: 90%)" in said["raised-temperature"]
    assert "36% of the rest lies on similar classes (33%" in said["raised-temperature"]
    assert said["not-seen"].startswith("No student was trained")


def test_without_raised_temperatures_or_similar_classes_nothing_is_made_up():
    smoothing = estimate(4.5)
    alone = {item.rule for item in advise(smoothing, TARGETS[:1], True, similar_share=0.3)}
    assert alone == {"low-temperature", "not-seen"}
    unknown = [SoftTarget(1, 0.5, 0.9, math.nan), SoftTarget(4, 2.0, 0.3, math.nan)]
    said = {item.rule: item.text for item in advise(smoothing, unknown, True, similar_share=0.3)}
    assert "similar classes (" not in said["raised-temperature"]
    assert "nan" not in said["raised-temperature"]


def test_an_unsmoothed_teacher_is_not_warned_about():
    said = by_rule(estimate(20.0, spread=4.0))
    assert said.keys() == {"any-temperature", "train-smoothed", "not-seen"}
    assert "does not concern it" in said["any-temperature"]


@pytest.mark.parametrize(
    ("smoothing", "decisive"),
    [
        (estimate(4.5, training_data=False), "the images and labels that the teacher was trained on"),
        (estimate(4.5, samples=50), "more samples (200 or more)"),
        (estimate(3.0, classes=4), "its training recipe"),
        (estimate(8.0, normalised=True), "raw logits instead of log-probabilities"),
        (estimate(0.05), "trained until it fits them"),
        (estimate(20.0), "the logits as they were before any temperature scaling"),
    ],
)
def test_undecided_says_what_would_decide(smoothing: SmoothingEstimate, decisive: str):
    said = by_rule(smoothing)
    assert smoothing.verdict == "undecided"
    assert decisive in said["would-decide"]
    assert "compare T = 1 with yours" in said["until-known"]


def test_what_was_not_seen_is_said():
    smoothing = estimate(4.5)
    assert "training data" not in by_rule(smoothing, True)["not-seen"]
    assert "were not seen" in by_rule(smoothing, False)["not-seen"]
    assert "is not known" in by_rule(smoothing, None)["not-seen"]
