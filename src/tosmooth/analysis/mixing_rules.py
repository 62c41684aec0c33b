"""The verdict on label smoothing where a teacher was asked about mixed images, too; docs/audit.md measures it.

Every way of mixing that a training may have used has its own estimate of α (`mixed_answers`). What all of them agree on
can be said without knowing which one it was; who knows it needs only that one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tosmooth.analysis.mixed_answers import ImageMixing, MixedAnswers
from tosmooth.analysis.smoothing_rules import (
    CLEARLY_NONE,
    LEAST_ACCURACY,
    LEAST_CLASSES,
    LEAST_SAMPLES,
    Verdict,
    cautious_bound,
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
# Calibrated on science/audit_zoo.py, seed 300; docs/audit.md says how well they do on teachers that were set aside.
LEAST_PAIRS = 200
IMPOSSIBLE = -0.05  # a way of mixing that asks for an α below this was not used: no loss does
# How far an estimate under the right way of mixing may lie above α (after strong weight decay), and how far below it.
TOO_HIGH, TOO_LOW = 0.05, 0.03  # 0.067 too high was seen once, with 200 classes
LEAST_SMOOTHED = TOO_HIGH + CLEARLY_NONE  # what every possible way must ask for, for "smoothed"

NOT_TRAINED_ON = "these are not its training data"
MAYBE_TRAINED_ON = "whether these are its training data was not said (--training-data says it)"


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
    """A teacher's answers to mixed images.

    Attributes:
        estimates: for each way of mixing in question.
        pairs: of images of each kind and share.
        told: whether somebody has said something of how its training mixed images.
    """

    estimates: tuple[MixingEstimate, ...]
    pairs: int
    told: bool

    @staticmethod
    def of(
        answers: MixedAnswers, whole: SmoothingStatistics, ways: Sequence[ImageMixing] | None = None
    ) -> AskedAboutMixed | None:
        """The estimates.

        Args:
            answers: to mixed images.
            whole: to whole ones.
            ways: what somebody has left open (`ways_left`); None: nothing was said.

        Returns:
            None where there are too few pairs, or the targets' logits do not stand out.
        """
        enough = answers.pairs >= LEAST_PAIRS
        found = {one: answers.moment(one, whole) for one in ways or USUAL if enough or not one.mixes}
        estimates = tuple(
            MixingEstimate(one, alpha, alpha > IMPOSSIBLE) for one, alpha in found.items() if not math.isnan(alpha)
        )
        if len(estimates) < len(ways or USUAL):  # what cannot be asked about stays possible
            return None
        return AskedAboutMixed(estimates, answers.pairs, ways is not None)

    @property
    def span(self) -> tuple[float, float] | None:
        """The lowest and the highest α̂ of all possible ways, at least 0; None where none is possible."""
        found = [max(0.0, estimate.alpha) for estimate in self.estimates if estimate.possible]
        return (min(found), max(found)) if found else None


@dataclass(frozen=True)
class Decision:
    """What follows from the answers to mixed images.

    Attributes:
        verdict: as of whole images.
        alpha: α̂ of the one way that somebody has said; None where several are possible, or none is.
        interval: of α.
        reason: in words.
    """

    verdict: Verdict
    alpha: float | None
    interval: tuple[float, float]
    reason: str


def ways_left(mixup: float | None, cutmix: float | None) -> tuple[ImageMixing, ...] | None:
    """The ways of mixing that agree with what somebody has said.

    Args:
        mixup: a of Beta(a, a), 0 for none; None: not said, any of the usual strengths.
        cutmix: the same.

    Returns:
        None where nothing was said.
    """
    if mixup is None and cutmix is None:
        return None
    blends = {one.mixup: None for one in USUAL} if mixup is None else [mixup]
    pastes = {one.cutmix: None for one in USUAL} if cutmix is None else [cutmix]
    return tuple(ImageMixing(a, b) for a in blends for b in pastes)


def against_asking(seen: Mapping[str, float], training_data: bool | None) -> list[str]:
    """Why answers to mixed images would decide nothing; empty where they may.

    Args:
        seen: the evidence of `label_smoothing.judge`.
        training_data: whether the teacher was trained on these samples.
    """
    found = []
    if training_data is not True:
        found.append(NOT_TRAINED_ON if training_data is False else MAYBE_TRAINED_ON)
    if seen["samples"] < LEAST_SAMPLES:
        found.append(f"{seen['samples']:.0f} samples are too few ({LEAST_SAMPLES} are needed)")
    if seen["classes"] < LEAST_CLASSES:
        found.append(f"{seen['classes']:.0f} classes are too few ({LEAST_CLASSES} are needed)")
    if not seen["accuracy"] >= LEAST_ACCURACY:
        found.append(f"its accuracy of {seen['accuracy']:.1%} is below {LEAST_ACCURACY:.0%}, which is needed")
    if seen["binary_loss"] or seen["log_probabilities"]:
        found.append("it may have been trained with binary cross-entropy")
    return found


def decided_by(asked: AskedAboutMixed, seen: Mapping[str, float]) -> Decision:
    """What the answers to mixed images say of α, where nothing is against asking.

    Args:
        asked: the estimates.
        seen: the evidence of `label_smoothing.judge`.
    """
    if asked.span is None:
        return Decision("undecided", None, (0.0, 1.0), _none_possible(asked.estimates, told=asked.told))
    low, high = asked.span
    verdict, reason = _verdict(low, high), _in_words(asked, low, high)
    if verdict == "not smoothed" and not cautious_bound(seen) < CLEARLY_NONE:
        verdict, reason = "undecided", f"{reason}; but its mean logit is so low that it may be a binary loss's"
    alpha = low if len(asked.estimates) == 1 else None
    return Decision(verdict, alpha, (max(0.0, low - TOO_HIGH), high + TOO_LOW), reason)


def _verdict(low: float, high: float) -> Verdict:
    """What all α̂ from `low` to `high` agree on."""
    if low >= LEAST_SMOOTHED:
        return "smoothed"
    return "not smoothed" if high < CLEARLY_NONE else "undecided"


def _in_words(asked: AskedAboutMixed, low: float, high: float) -> str:
    bounds = f"below {CLEARLY_NONE:g} is as good as none, {LEAST_SMOOTHED:g} and more is smoothing"
    if len(asked.estimates) == 1:
        return (
            f"asked about images as its training had them ({asked.estimates[0].mixing.words}, as was said), its "
            f"answers are those of α = {low:.3f} ({bounds})"
        )
    ruled_out = [estimate.mixing.words for estimate in asked.estimates if not estimate.possible]
    but = f"; ruled out: {', '.join(ruled_out)}" if ruled_out else ""
    return (
        f"asked about mixed images, its answers are those of α = {low:.3f} to {high:.3f}, by how its training mixed "
        f"them ({bounds}){but}"
    )


def _none_possible(estimates: Sequence[MixingEstimate], *, told: bool) -> str:
    if told:
        said = " or ".join(one.mixing.words for one in estimates)
        return f"it was not trained with {said}, as was said: its answers to images mixed so ask for an α far below 0"
    return "its answers to mixed images fit none of the usual ways of mixing them"
