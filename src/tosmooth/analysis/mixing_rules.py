"""The verdict on label smoothing where a teacher was asked about mixed images, too; docs/audit.md measures it.

Every way of mixing that a training may have used has its own estimate of α (`mixed_answers`). What all of them agree on
can be said without knowing which one it was; who knows it needs only that one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tosmooth.analysis.mixed_answers import ImageMixing, MixedAnswers
from tosmooth.analysis.smoothing_rules import (
    CLEARLY_NONE,
    LEAST_ACCURACY,
    LEAST_CLASSES,
    LEAST_SAMPLES,
    Verdict,
)
from tosmooth.analysis.smoothing_statistics import SmoothingStatistics

# None; the usual strengths of timm's and torchvision's recipes; DeiT's.
USUAL = (
    ImageMixing(),
    ImageMixing(mixup=0.2),
    ImageMixing(mixup=1),
    ImageMixing(cutmix=1),
    ImageMixing(0.2, 1),
    ImageMixing(0.8, 1),
)
# Calibrated on science/audit_zoo.py, seed 300, and scored once on seed 302: docs/audit.md.
LEAST_PAIRS = 200
IMPOSSIBLE = -0.05  # a way of mixing that asks for an α below this was not used: no loss does
# How far an estimate under the right way of mixing may lie above α (after strong weight decay), and how far below it.
TOO_HIGH, TOO_LOW = 0.07, 0.03
LEAST_SMOOTHED = 0.05  # α that every possible way must ask for, for "smoothed"


@dataclass(frozen=True)
class MixingEstimate:
    """What α would be if the training had mixed its images in one way.

    Attributes:
        mixing: the way.
        alpha: the moment estimate on images mixed so; below 0 where that is not how they were mixed.
        possible: whether the training may have mixed so.
    """

    mixing: ImageMixing
    alpha: float
    possible: bool


@dataclass(frozen=True)
class AskedAboutMixed:
    """A teacher's answers to mixed images, and whether its mixing is known.

    Attributes:
        estimates: for each way of mixing in question.
        pairs: of images of each kind.
        told: somebody has; that one is the only way in question.
    """

    estimates: tuple[MixingEstimate, ...]
    pairs: int
    told: bool

    @staticmethod
    def of(answers: MixedAnswers, whole: SmoothingStatistics, mixing: ImageMixing | None) -> AskedAboutMixed:
        """The estimates for a way that is known, or for the usual ones."""
        found = {one: answers.moment(one, whole) for one in (USUAL if mixing is None else (mixing,))}
        estimates = tuple(MixingEstimate(one, alpha, alpha > IMPOSSIBLE) for one, alpha in found.items())
        return AskedAboutMixed(estimates, answers.pairs, mixing is not None)

    @property
    def told_of_mixing(self) -> bool:
        """Whether somebody has said that images were mixed, and how."""
        return self.told and self.estimates[0].mixing.words != ImageMixing().words

    @property
    def span(self) -> tuple[float, float] | None:
        """The lowest and the highest α̂ of all possible ways; None where none is possible."""
        found = [estimate.alpha for estimate in self.estimates if estimate.possible]
        return (min(found), max(found)) if found else None


@dataclass(frozen=True)
class Decision:
    """What follows from the answers to mixed images.

    Attributes:
        verdict: as of whole images.
        alpha: α̂.
        interval: of α.
        reason: in words.
    """

    verdict: Verdict
    alpha: float
    interval: tuple[float, float]
    reason: str


def decided_by(asked: AskedAboutMixed, seen: Mapping[str, float], training_data: bool | None) -> Decision | None:
    """What the answers to mixed images say of α; None where they cannot be relied on, as the docs list.

    Args:
        asked: the estimates.
        seen: the evidence of `label_smoothing.judge`.
        training_data: whether the teacher was trained on these samples.
    """
    enough = seen["samples"] >= LEAST_SAMPLES and seen["classes"] >= LEAST_CLASSES and asked.pairs >= LEAST_PAIRS
    if training_data is not True or not enough or seen["accuracy"] < LEAST_ACCURACY or seen["binary_loss"]:
        return None
    if asked.span is None:
        return Decision("undecided", seen["moment"], (0.0, 1.0), _none_possible(asked.estimates, told=asked.told))
    low, high = asked.span
    interval = (max(0.0, low - TOO_HIGH), max(0.0, high) + TOO_LOW)
    alpha = max(0.0, (low + high) / 2)
    verdict: Verdict = "undecided"
    if low >= LEAST_SMOOTHED:
        verdict = "smoothed"
    elif high < CLEARLY_NONE:
        verdict = "not smoothed"
    return Decision(verdict, alpha, interval, _in_words(asked, low, high))


def _in_words(asked: AskedAboutMixed, low: float, high: float) -> str:
    if asked.told:
        return (
            f"asked about images as its training had them ({asked.estimates[0].mixing.words}, as was said), its "
            f"answers are those of α = {low:.3f}"
        )
    ruled_out = [estimate.mixing.words for estimate in asked.estimates if not estimate.possible]
    but = f"; ruled out: {', '.join(ruled_out)}" if ruled_out else ""
    return (
        f"asked about mixed images, its answers are those of α = {low:.3f} to {high:.3f}, by how its training mixed "
        f"them{but}"
    )


def _none_possible(estimates: Sequence[MixingEstimate], *, told: bool) -> str:
    if told:
        (one,) = estimates
        return (
            f"it was not trained with {one.mixing.words}, as was said: its answers to images mixed so would ask for "
            f"α = {one.alpha:.3f}"
        )
    return "its answers to mixed images fit none of the usual ways of mixing them"
