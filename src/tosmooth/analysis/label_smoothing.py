"""Was a teacher trained with label smoothing? From its logits on labelled data alone.

Two estimates of α, exact at different places: the moment estimate wherever the loss is stationary in the scale of the
logits, the median of the margins δ at the optimum of each sample. Where they, and the shape of the logits, do not bear
a verdict, it is "undecided". The bounds were calibrated on teachers of known α: docs/audit.md.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from tosmooth.analysis.mixing_rules import AskedAboutMixed, Decision, against_asking, decided_by
from tosmooth.analysis.smoothing_rules import (
    ARE_RESCALED,
    BINARY_LEVEL,
    BINARY_SUM,
    CLEARLY_NONE,
    MAY_BE_RESCALED,
    UNDECIDED_MARGIN,
    Verdict,
    against_none,
    against_smoothed,
    best_guess,
    binary_bound,
    cautious_bound,
    for_none,
    for_smoothed,
    surest_answers,
)
from tosmooth.analysis.smoothing_statistics import SmoothingStatistics, binary_from_margin, from_margin

LOWER_QUARTILE = 0.6745  # of a normal distribution, in standard deviations


@dataclass(frozen=True)
class SmoothingEstimate:
    """What is known of the smoothing a teacher was trained with.

    Attributes:
        alpha: α̂ in [0, 1].
        interval: (low, high) in [0, 1]; for "undecided" it mostly starts at 0, as there may be no smoothing at all.
        verdict: "smoothed", "not smoothed" or "undecided".
        reasons: why, in sentences.
        mixed: what its answers to mixed images say; None where it was not asked about any.
        evidence: the numbers behind it: `accuracy`, `samples`, `classes`, `moment`, `median`, `floor`, `binary`,
            `margin`, `tail`, `uneven`, `uneven_nats`, `level`, `sigmoids`, whether a binary loss is suspected
            (`binary_loss`), and the upper ends of the estimates (docs/audit.md).
    """

    alpha: float
    interval: tuple[float, float]
    verdict: Verdict
    reasons: tuple[str, ...]
    evidence: Mapping[str, float]
    mixed: AskedAboutMixed | None = None


def estimate_label_smoothing(
    logits: Tensor, labels: Tensor, *, training_data: bool | None = None, rescaled: bool | None = None
) -> SmoothingEstimate:
    """Estimate the label smoothing α of a classifier from its logits on labelled data, and say whether it was smoothed.

    α is PyTorch's: the target is (1 − α)·onehot(y) + α/K. The best data are the images and labels that the teacher was
    trained on, without augmentation, in eval mode.

    Args:
        logits: (N, K), finite. Log-probabilities will do; probabilities are refused.
        labels: (N,), integers in [0, K).
        training_data: whether the teacher was trained on these samples. False: the verdict is never "smoothed". None
            (unknown): judged as if they were, which the reasons say.
        rescaled: whether the logits were multiplied after training, as temperature scaling does. False: they are the
            network's own. True: the verdict is never "smoothed". True or None (unknown): where what no scale changes
            looks smoothed, it is never "not smoothed" either, and the interval is all of [0, 1]. α̂ is that of the
            logits as they are.

    Raises:
        ValueError: shapes do not fit, fewer than 2 classes, no samples, a label outside the classes, a logit that is
            not finite, or probabilities.
    """
    if logits.ndim != 2:
        raise ValueError(f"logits must be (N, K), got {tuple(logits.shape)}")
    statistics = SmoothingStatistics(logits.shape[1])
    statistics.update(logits, labels)
    return judge(statistics, training_data=training_data, rescaled=rescaled)


def judge(
    statistics: SmoothingStatistics,
    *,
    training_data: bool | None = None,
    rescaled: bool | None = None,
    asked: AskedAboutMixed | None = None,
) -> SmoothingEstimate:
    """The same from statistics that were gathered batch by batch, and from answers to mixed images where there are any.

    These decide where whole images do not, and speak with them where somebody has said how images were mixed.

    Raises:
        ValueError: nothing was added, or probabilities.
    """
    found = _of_whole_images(statistics, training_data=training_data, rescaled=rescaled)
    if asked is None or rescaled is not False or math.isnan(found.alpha):
        return found
    if against_asking(found.evidence, training_data):
        return found
    if found.verdict != "undecided" and not asked.told:
        return dataclasses.replace(found, mixed=asked)
    return dataclasses.replace(_together(found, decided_by(asked, found.evidence)), mixed=asked)


def _together(found: SmoothingEstimate, decision: Decision) -> SmoothingEstimate:
    """What whole and mixed images say together."""
    low, high = decision.interval
    if found.verdict == "undecided":
        alpha = min(max(found.alpha if decision.alpha is None else decision.alpha, low), high)
        reasons = (decision.reason, *(found.reasons if decision.verdict == "undecided" else ()))
        return SmoothingEstimate(alpha, _clipped((low, high)), decision.verdict, reasons, found.evidence)
    if decision.verdict in {"undecided", found.verdict}:
        alpha, (low, high) = found.alpha, found.interval
        if found.verdict == "smoothed" and decision.alpha is not None and decision.alpha >= CLEARLY_NONE:
            alpha, low, high = decision.alpha, min(low, decision.alpha), max(high, decision.alpha)
        return SmoothingEstimate(alpha, (low, high), found.verdict, (decision.reason, *found.reasons), found.evidence)
    low, high = min(low, found.interval[0]), max(high, found.interval[1])
    against = f"that does not go with what whole images say, which is “{found.verdict}”"
    reasons = (decision.reason, against, *found.reasons)
    return SmoothingEstimate(found.alpha, (low, high), "undecided", reasons, found.evidence)


def _of_whole_images(
    statistics: SmoothingStatistics, *, training_data: bool | None, rescaled: bool | None
) -> SmoothingEstimate:
    """What answers to whole images say."""
    seen = _evidence(statistics)
    if not seen["margin"] > 0 or math.isnan(seen["moment"]):
        why = (
            "the teacher's target logits do not stand out: it has not learnt these labels, or they are in another order"
        )
        return SmoothingEstimate(math.nan, (0.0, 1.0), "undecided", (why,), seen)
    no_smoothing, no_none = against_smoothed(seen, training_data), against_none(seen, rescaled)
    if rescaled:
        no_smoothing.append(ARE_RESCALED)
    softmax_low, softmax_high = min(seen["moment"], seen["median"]), max(seen["moment_high"], seen["median_high"])
    if not no_smoothing:
        between = max(0.01, abs(seen["moment"] - seen["median"])) / 2
        interval = (min(seen["floor"], softmax_low), softmax_high + between)
        return SmoothingEstimate(
            _clip(seen["moment"]), _clipped(interval), "smoothed", for_smoothed(seen, training_data), seen
        )
    if not no_none:
        high = max(softmax_high, cautious_bound(seen))
        alpha = min(max(seen["moment"], 0.0), high)
        return SmoothingEstimate(_clip(alpha), _clipped((0.0, high)), "not smoothed", for_none(seen), seen)
    if sure := surest_answers(seen, rescaled):
        return SmoothingEstimate(_clip(seen["surest"]), (0.0, CLEARLY_NONE), "not smoothed", (sure,), seen)
    high = max(softmax_high, seen["softness"], binary_bound(seen)) + UNDECIDED_MARGIN
    reasons = (*no_smoothing, *no_none)
    if any(text in reason for reason in reasons for text in (MAY_BE_RESCALED, ARE_RESCALED)):
        high = 1.0  # rescaled logits say nothing of how much
    return SmoothingEstimate(_clip(best_guess(seen)), _clipped((0.0, high)), "undecided", reasons, seen)


def _evidence(statistics: SmoothingStatistics) -> dict[str, float]:
    """All numbers that the verdict rests on."""
    classes = statistics.num_classes
    moment, binary, margin = statistics.moment(), statistics.binary_moment(), statistics.median_margin()
    uneven, level, sigmoids = statistics.unevenness(), statistics.level(), statistics.sigmoids()
    spread = uneven * margin.value
    log_probabilities = statistics.log_probabilities
    return {
        "samples": float(statistics.count),
        "classes": float(classes),
        "accuracy": statistics.accuracy,
        "moment": moment.value,
        "moment_high": moment.high,
        "median": from_margin(margin.value, classes),
        "median_high": from_margin(margin.low, classes),
        # What the lower quartile of the other classes supports: similar classes get more, smoothing gives all the same.
        "floor": from_margin(margin.high + LOWER_QUARTILE * spread, classes),
        "softness": statistics.softness(),
        "surest": statistics.surest(),
        "binary": binary.value,
        "binary_high": binary.high,
        "binary_median": binary_from_margin(margin.low, classes),
        "margin": margin.value,
        "tail": statistics.spread_up(),
        "uneven": uneven,
        "uneven_nats": spread,
        "level": level,
        "sigmoids": sigmoids,
        "log_probabilities": float(log_probabilities),
        "binary_loss": float(not log_probabilities and level < BINARY_LEVEL and abs(sigmoids - 1) < BINARY_SUM),
    }


def _clip(value: float) -> float:
    return min(1.0, max(0.0, value))


def _clipped(interval: tuple[float, float]) -> tuple[float, float]:
    return _clip(interval[0]), _clip(interval[1])
