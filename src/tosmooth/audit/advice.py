"""Advice in words, by listed rules: what follows from the verdict, what would decide, and what was not seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tosmooth.analysis.label_smoothing import SmoothingEstimate
from tosmooth.analysis.smoothing_rules import (
    ARE_RESCALED,
    LEAST_CLASSES,
    LEAST_FIT,
    LEAST_SAMPLES,
    MAY_BE_RESCALED,
    MOST_UNEVEN,
    MOST_UNEVEN_NATS,
    PLAIN_FIT,
    PLAIN_MARGIN,
)
from tosmooth.analysis.soft_targets import SoftTarget


@dataclass(frozen=True)
class Advice:
    """One sentence or two, and the rule it comes from (docs/audit.md lists them)."""

    rule: str
    text: str


def advise(
    smoothing: SmoothingEstimate,
    targets: Sequence[SoftTarget],
    training_data: bool | None,
    *,
    similar_share: float,
    mixing_told: bool = False,
) -> list[Advice]:
    """What to do with this teacher.

    Args:
        smoothing: the verdict.
        targets: the table of soft targets.
        training_data: whether the teacher was trained on what was seen.
        similar_share: of the mass off the label, what similar classes would get if it were shared out evenly.
        mixing_told: whether somebody has said all of how the teacher's training mixed images.
    """
    if smoothing.verdict == "smoothed":
        found = _if_smoothed(smoothing, targets, similar_share)
    else:
        found = _if_not() if smoothing.verdict == "not smoothed" else _if_undecided(smoothing, mixing_told=mixing_told)
    return [*found, *_not_seen(training_data)]


def _if_smoothed(smoothing: SmoothingEstimate, targets: Sequence[SoftTarget], even: float) -> list[Advice]:
    low, high = smoothing.interval
    found = [
        Advice(
            "low-temperature",
            f"Distil at T = 1. The teacher is label-smoothed (α about {smoothing.alpha:.2f}, {low:.2f} to {high:.2f}): "
            "for such teachers the paper found students best at T = 1, and worse the higher T is.",
        )
    ]
    raised = [target for target in targets if target.temperature > 1]
    base = min(targets, key=lambda target: abs(target.temperature - 1))
    if raised:
        worst = min(raised, key=lambda target: target.temperature)
        text = (
            f"A raised T is warned about: at T = {worst.temperature:g} the target class keeps "
            f"{worst.target_mass:.0%} of the mass (T = {base.temperature:g}: {base.target_mass:.0%})"
        )
        if not math.isnan(worst.similar_share):
            text += (
                f", and {worst.similar_share:.0%} of the rest lies on similar classes ({even:.0%} if it were shared "
                "out evenly)"
            )
        found.append(
            Advice(
                "raised-temperature",
                f"{text}. By the paper, what leaves the target pulls students towards similar classes. In our own "
                "runs that loss went, or was shown no longer, where T had its own learning rate: compare first.",
            )
        )
    return found


def _if_not() -> list[Advice]:
    return [
        Advice(
            "any-temperature",
            "The teacher is not label-smoothed: the paper's warning about raised temperatures does not concern it. "
            "Choose T on validation data.",
        ),
        Advice(
            "train-smoothed",
            "If you can train the teacher anew, try one with label smoothing of 0.1, distilled at T = 1: in the paper "
            "its students were the best, in our own runs about as good as an unsmoothed one's. "
            "`tosmooth study` compares both on your data.",
        ),
    ]


def _if_undecided(smoothing: SmoothingEstimate, *, mixing_told: bool) -> list[Advice]:
    seen = smoothing.evidence
    would = []
    if seen["samples"] < LEAST_SAMPLES:
        would.append(f"more samples ({LEAST_SAMPLES} or more)")
    if any(reason.startswith("these are not the teacher's training data") for reason in smoothing.reasons):
        would.append("the images and labels that the teacher was trained on")
    elif seen["accuracy"] < LEAST_FIT:
        would.append(
            "the very images and labels of its training, without augmentation; if these are they, a teacher trained "
            "until it fits them"
        )
    if seen["binary_loss"]:
        would.append("knowing the loss it was trained with")
    if seen["log_probabilities"]:
        would.append("raw logits instead of log-probabilities")
    if seen["uneven"] > MOST_UNEVEN or seen["uneven_nats"] > MOST_UNEVEN_NATS:
        mixed = "" if mixing_told or smoothing.mixed is not None else "mixup, cutmix, "
        would.append(f"knowing whether it was trained with {mixed}noisy labels or few epochs")
    if smoothing.mixed is not None and not mixing_told:
        would.append("how its training mixed images (--mixup and --cutmix; 0 for not at all)")
    if ARE_RESCALED in smoothing.reasons:
        would.append("the weights, or the logits as they were before they were rescaled")
    elif any(MAY_BE_RESCALED in reason for reason in smoothing.reasons):
        would.append(
            "the weights, or the logits as they were before any temperature scaling; if these are they, "
            "say so (--own-logits; in Python rescaled=False)"
        )
    if seen["classes"] < LEAST_CLASSES:
        would.append("only its training recipe: with so few classes the logits cannot tell")
    decisive = "; ".join(would) or "its training recipe"
    return [
        Advice("would-decide", f"Undecided. What would decide: {decisive}."),
        *([] if mixing_told else _if_plain(smoothing)),
        Advice(
            "until-known",
            "Until it is known, do not rely on a raised T: compare T = 1 with yours on validation data. "
            "`tosmooth study` with this teacher does that.",
        ),
    ]


def _if_plain(smoothing: SmoothingEstimate) -> list[Advice]:
    """The answer for those who know how the teacher was trained, though its logits cannot tell."""
    seen = smoothing.evidence
    told_otherwise = seen["binary_loss"] or any(
        reason.startswith(("these are not the teacher's training data", ARE_RESCALED)) or MAY_BE_RESCALED in reason
        for reason in smoothing.reasons
    )
    enough = seen["samples"] >= LEAST_SAMPLES and seen["classes"] >= LEAST_CLASSES and seen["accuracy"] >= PLAIN_FIT
    if told_otherwise or not enough or math.isnan(seen["moment"]):
        return []
    low, high = max(0.0, seen["moment"] - PLAIN_MARGIN), min(1.0, seen["moment"] + PLAIN_MARGIN)
    return [
        Advice(
            "if-plain",
            "If it was trained with cross-entropy on these labels, without mixup, cutmix, focal loss or noisy labels, "
            "and these are its own logits, not rescaled since: "
            f"α is about {max(0.0, seen['moment']):.3f} ({low:.2f} to {high:.2f}).",
        )
    ]


def _not_seen(training_data: bool | None) -> list[Advice]:
    unseen = [
        "No student was trained: what is said of T is the paper's finding, not a measurement on your data.",
    ]
    if training_data is not True:
        unseen.append(
            "The teacher's training data were not seen."
            if training_data is False
            else "Whether these are the teacher's training data is not known; they were judged as if they were."
        )
    unseen.append(
        "Very strong weight decay, evenly spread label noise, or training on another teacher's soft targets can leave "
        "the marks of smoothing; logits cannot tell them apart."
    )
    return [Advice("not-seen", " ".join(unseen))]
