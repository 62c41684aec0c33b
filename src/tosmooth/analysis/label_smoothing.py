"""Was a teacher trained with label smoothing? From its logits on labelled data alone.

Two estimates of α, exact at different places: the moment estimate wherever the loss is stationary in the scale of the
logits, the median of the margins δ at the optimum of each sample. Where they, and the shape of the logits, do not bear
a verdict, it is "undecided". The bounds were calibrated on teachers of known α: docs/audit.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from tosmooth.analysis.smoothing_statistics import SmoothingStatistics, binary_from_margin, from_margin

Verdict = Literal["smoothed", "not smoothed", "undecided"]

# Calibrated on science/audit_zoo.py (digits, seeds 0 to 2; mixture, seed 0), verified on the rest: docs/audit.md.
LEAST_CLASSES = 10
LEAST_SAMPLES = 200
LEAST_FIT = 0.99  # accuracy for "smoothed": below it, softness may be lack of training
LEAST_ACCURACY = 0.95  # for "not smoothed": below it, these may not be the labels of the training
MOST_UNEVEN = 0.135  # standard deviation of the other logits, relative to δ …
MOST_UNEVEN_NATS = 0.80  # … and as it is
LONGEST_TAIL = 0.25  # (q95 − q50) / q50 of δ
LEAST_FLOOR = 0.02  # α that the lower quartile of the other classes' probabilities supports
CLEARLY_NONE = 0.015  # α below which smoothing is as good as none
MIXED_TAIL = 0.20  # uneven, but with a shorter tail than this and a full fit: the signs of training on mixed images …
MIXED_CLASSES = 20  # … where that was calibrated
UNDECIDED_MARGIN = 0.03  # added to the interval where nothing is decided
BINARY_LEVEL = -0.15  # mean logit over δ: a binary loss leaves it far below 0 (so may Adam) …
BINARY_SUM = 0.15  # … and Σ σ(z) within this of 1 (Adam does not)
LOWER_QUARTILE = 0.6745  # of a normal distribution, in standard deviations


@dataclass(frozen=True)
class SmoothingEstimate:
    """What is known of the smoothing a teacher was trained with.

    Attributes:
        alpha: α̂ in [0, 1].
        interval: (low, high) in [0, 1]; for "undecided" it starts at 0, as there may be no smoothing at all.
        verdict: "smoothed", "not smoothed" or "undecided".
        reasons: why, in sentences.
        evidence: the numbers behind it: `accuracy`, `samples`, `classes`, `moment`, `median`, `floor`, `binary`,
            `margin`, `tail`, `uneven`, `uneven_nats`, `level`, `sigmoids`, whether a binary loss is suspected
            (`binary_loss`), and the upper ends of the estimates (docs/audit.md).
    """

    alpha: float
    interval: tuple[float, float]
    verdict: Verdict
    reasons: tuple[str, ...]
    evidence: Mapping[str, float]


def estimate_label_smoothing(logits: Tensor, labels: Tensor, *, training_data: bool | None = None) -> SmoothingEstimate:
    """Estimate the label smoothing α of a classifier from its logits on labelled data, and say whether it was smoothed.

    α is PyTorch's: the target is (1 − α)·onehot(y) + α/K. The best data are the images and labels that the teacher was
    trained on, without augmentation, in eval mode.

    Args:
        logits: (N, K), finite. Log-probabilities will do; probabilities are refused.
        labels: (N,), integers in [0, K).
        training_data: whether the teacher was trained on these samples. False: the verdict is never "smoothed". None
            (unknown): judged as if they were, which the reasons say.

    Raises:
        ValueError: shapes do not fit, fewer than 2 classes, no samples, a label outside the classes, a logit that is
            not finite, or probabilities.
    """
    if logits.ndim != 2:
        raise ValueError(f"logits must be (N, K), got {tuple(logits.shape)}")
    statistics = SmoothingStatistics(logits.shape[1])
    statistics.update(logits, labels)
    return judge(statistics, training_data=training_data)


def judge(statistics: SmoothingStatistics, *, training_data: bool | None = None) -> SmoothingEstimate:
    """The same from statistics that were gathered batch by batch.

    Raises:
        ValueError: nothing was added, or probabilities.
    """
    seen = _evidence(statistics)
    if not seen["margin"] > 0 or math.isnan(seen["moment"]):
        why = (
            "the teacher's target logits do not stand out: it has not learnt these labels, or they are in another order"
        )
        return SmoothingEstimate(math.nan, (0.0, 1.0), "undecided", (why,), seen)
    against_smoothed = _against_smoothed(seen, training_data)
    against_none = _against_none(seen)
    softmax_low, softmax_high = min(seen["moment"], seen["median"]), max(seen["moment_high"], seen["median_high"])
    if not against_smoothed:
        between = max(0.01, abs(seen["moment"] - seen["median"])) / 2
        interval = (min(seen["floor"], softmax_low), softmax_high + between)
        return SmoothingEstimate(
            _clip(seen["moment"]), _clipped(interval), "smoothed", _for_smoothed(seen, training_data), seen
        )
    if not against_none:
        high = max(softmax_high, _cautious_bound(seen))
        alpha = min(max(seen["moment"], 0.0), high)
        return SmoothingEstimate(_clip(alpha), _clipped((0.0, high)), "not smoothed", _for_none(seen), seen)
    high = max(softmax_high, seen["softness"], _binary_bound(seen)) + UNDECIDED_MARGIN
    reasons = (*against_smoothed, *against_none)
    return SmoothingEstimate(_clip(_best_guess(seen)), _clipped((0.0, high)), "undecided", reasons, seen)


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


def _against_smoothed(seen: Mapping[str, float], training_data: bool | None) -> list[str]:
    """Why "smoothed" cannot be said; empty where it can."""
    found = []
    if training_data is False:
        found.append("these are not the teacher's training data: off them, an unsmoothed teacher may look soft")
    if seen["classes"] < LEAST_CLASSES:
        found.append(
            f"with {seen['classes']:.0f} classes, mixed images look like smoothing; {LEAST_CLASSES} are needed"
        )
    if seen["samples"] < LEAST_SAMPLES:
        found.append(f"{seen['samples']:.0f} samples are too few; {LEAST_SAMPLES} are needed")
    if seen["accuracy"] < LEAST_FIT:
        found.append(
            f"accuracy on these data is {_percent(seen['accuracy'])}: short training, wrong labels and strong "
            f"augmentation make a teacher soft too; {LEAST_FIT:.0%} are needed"
        )
    if seen["binary_loss"]:
        found.append(
            "the logits lie where training with binary cross-entropy puts them (below 0, their sigmoids sum to "
            f"{seen['sigmoids']:.2f}): α̂ is that loss's own estimate"
        )
    if seen["uneven"] > MOST_UNEVEN or seen["uneven_nats"] > MOST_UNEVEN_NATS:
        found.append(
            f"the logits of the other classes differ by {seen['uneven']:.2f} of the margin ({seen['uneven_nats']:.2f} "
            f"nats); smoothing makes them alike (at most {MOST_UNEVEN:g}, and {MOST_UNEVEN_NATS:g} nats), while mixed "
            "images, noise and short training do not"
        )
    if seen["tail"] > LONGEST_TAIL:
        found.append(
            f"the margins have a long upper tail ({seen['tail']:.2f}, at most {LONGEST_TAIL:g}); smoothing cuts it off"
        )
    if seen["floor"] < LEAST_FLOOR:
        found.append(
            f"at most α = {seen['floor']:.3f} is shared out evenly over the classes; {LEAST_FLOOR:g} are needed to "
            "tell it from none"
        )
    return found


def _against_none(seen: Mapping[str, float]) -> list[str]:
    """Why "not smoothed" cannot be said; empty where it can."""
    found = []
    if seen["samples"] < LEAST_SAMPLES:
        found.append(f"{seen['samples']:.0f} samples are too few; {LEAST_SAMPLES} are needed")
    if seen["accuracy"] < LEAST_ACCURACY:
        found.append(
            f"for “not smoothed”, accuracy must reach {LEAST_ACCURACY:.0%}: the labels may not be those of the training"
        )
    high = max(seen["moment_high"], seen["median_high"])
    if not high < CLEARLY_NONE:
        found.append(
            f"the logits are as soft as α up to {high:.3f} would make them; “not smoothed” needs {CLEARLY_NONE:g}"
        )
    elif not _cautious_bound(seen) < CLEARLY_NONE:
        kind = "are log-probabilities, so" if seen["log_probabilities"] else "do not rule out that"
        found.append(
            f"the logits {kind} the teacher may have been trained with binary cross-entropy, where they would allow α "
            f"up to {_cautious_bound(seen):.3f}"
        )
    return list(dict.fromkeys(found))


def _binary_bound(seen: Mapping[str, float]) -> float:
    """The largest α a binary loss would allow, where that loss cannot be excluded; 0 where it can."""
    if seen["binary_loss"]:
        return max(seen["binary_high"], seen["binary_median"])
    # With few classes the mean logit is near 0 under either loss.
    return seen["binary_median"] if seen["log_probabilities"] or seen["classes"] < LEAST_CLASSES else 0.0


def _cautious_bound(seen: Mapping[str, float]) -> float:
    """The same, counting a low level alone as a sign: binary targets need not sum to 1."""
    return max(_binary_bound(seen), seen["binary_median"] if seen["level"] < BINARY_LEVEL else 0.0)


def _best_guess(seen: Mapping[str, float]) -> float:
    """α̂ where no verdict is given."""
    if seen["binary_loss"]:
        return seen["binary"]
    mixed = seen["uneven"] > MOST_UNEVEN and seen["tail"] <= MIXED_TAIL and seen["accuracy"] >= LEAST_FIT
    if mixed and seen["classes"] <= MIXED_CLASSES:
        return seen["floor"]  # what similar classes get beyond it is not from smoothing
    return seen["moment"]


def _for_smoothed(seen: Mapping[str, float], training_data: bool | None) -> tuple[str, ...]:
    found = [
        f"the data are fitted ({_percent(seen['accuracy'])}), yet the target stays below the others by no more than "
        f"{seen['margin']:.2f} nats",
        f"two estimates agree: moment {seen['moment']:.3f}, median {seen['median']:.3f}",
        f"the logits of the other classes are alike ({seen['uneven']:.2f} of the margin, at most {MOST_UNEVEN:g})",
    ]
    if training_data is None:
        found.append("taken as the teacher's training data; this was not said")
    return tuple(found)


def _for_none(seen: Mapping[str, float]) -> tuple[str, ...]:
    high = max(seen["moment_high"], seen["median_high"])
    found = [
        f"the target's logit lies {seen['margin']:.1f} nats above the others: α above {high:.4f} would have stopped it "
        "earlier"
    ]
    if _cautious_bound(seen):
        found.append("that holds for a softmax loss and for binary cross-entropy")
    return tuple(found)


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"


def _clip(value: float) -> float:
    return min(1.0, max(0.0, value))


def _clipped(interval: tuple[float, float]) -> tuple[float, float]:
    return _clip(interval[0]), _clip(interval[1])
