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


def partly_fitted(accuracy: float, **told: Any) -> SmoothingEstimate:
    """Of a softmax model with α = 0.1 that errs on the rest, at the optimum of its loss."""
    torch.manual_seed(0)
    labels = torch.arange(2000) % 10
    targets = F.one_hot(labels, 10) * 0.9 + 0.01
    seen = labels.clone()
    wrong = torch.rand(2000) > accuracy
    seen[wrong] = (labels[wrong] + 1) % 10
    # One free vector of logits for each class that is seen: the optimum is the mean target's logarithm.
    means = torch.stack([targets[seen == k].mean(0) for k in range(10)])
    return estimate_label_smoothing(means.log()[seen], labels, **told)


def test_a_low_fit_has_an_answer_for_those_who_know_the_training():
    smoothing = partly_fitted(0.95, training_data=True)
    assert smoothing.verdict == "undecided"
    said = by_rule(smoothing)["if-plain"]
    assert said.startswith("If it was trained with cross-entropy")
    assert f"α is about {smoothing.evidence['moment']:.3f}" in said
    assert smoothing.evidence["moment"] == pytest.approx(0.1, abs=0.05)


@pytest.mark.parametrize(
    "smoothing",
    [partly_fitted(0.8), partly_fitted(0.95, training_data=False), estimate(4.5, samples=50), estimate(20.0)],
)
def test_where_the_estimate_itself_is_not_to_be_trusted_there_is_no_such_answer(smoothing: SmoothingEstimate):
    assert smoothing.verdict == "undecided"
    assert "if-plain" not in by_rule(smoothing)


@pytest.mark.parametrize(
    ("smoothing", "decisive"),
    [
        (estimate(4.5, training_data=False), "the images and labels that the teacher was trained on"),
        (estimate(4.5, samples=50), "more samples (200 or more)"),
        (estimate(3.0, classes=4), "its training recipe"),
        (estimate(8.0, normalised=True), "raw logits instead of log-probabilities"),
        (estimate(0.05), "trained until it fits them"),
        (estimate(20.0), "if these are they, say so (--own-logits; in Python rescaled=False)"),
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
