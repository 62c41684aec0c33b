"""The bounds and rules of the verdict on label smoothing, and their words; docs/audit.md lists and measures them.

Every function takes the evidence that `label_smoothing.judge` has gathered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Verdict = Literal["smoothed", "not smoothed", "undecided"]

# Calibrated on science/audit_zoo.py (digits, seeds 0 to 2; mixture, seed 0), verified on the rest: docs/audit.md.
LEAST_CLASSES = 10
LEAST_SAMPLES = 200
LEAST_FIT = 0.99  # accuracy for "smoothed": below it, softness may be lack of training
LEAST_ACCURACY = 0.95  # for "not smoothed": below it, these may not be the labels of the training
MOST_UNEVEN = 0.135  # standard deviation of the other logits, relative to δ …
MOST_UNEVEN_NATS = 0.80  # … and as it is
LONGEST_TAIL = 0.25  # (q95 − q50) / q50 of δ
# What looks smoothed at any scale: a tail as short as this, other logits as even as this, or where the data are not
# fitted, so that the tail is long with smoothing too, as even as that:
SHORT_TAIL, EVEN, UNFITTED_EVEN = 0.24, 0.11, 0.30
LEAST_FLOOR = 0.02  # α that the lower quartile of the other classes' probabilities supports
CLEARLY_NONE = 0.015  # α below which smoothing is as good as none
# α that the surest hundredth of the answers allows, at any accuracy. Every smoothed teacher seen leaves 0.004 or more.
SUREST = 0.002
# The signs of training on mixed images, beside uneven logits and a full fit:
MIXED_TAIL = 0.20  # a shorter tail than this,
MIXED_EXCESS, MIXED_FLOOR = 0.023, 0.015  # softness that far above the moment estimate, or a floor below this,
MIXED_CLASSES = 20  # and at most so many classes, where that was calibrated
# Of plain training (no mixed images, noise, other loss): from which accuracy on, and how near the moment estimate is.
PLAIN_FIT, PLAIN_MARGIN = 0.90, 0.05
UNDECIDED_MARGIN = 0.03  # added to the interval where nothing is decided
BINARY_LEVEL = -0.15  # mean logit over δ: a binary loss leaves it far below 0 (so may Adam) …
BINARY_SUM = 0.15  # … and Σ σ(z) within this of 1 (Adam does not)

MAY_BE_RESCALED = "these may be a smoothed teacher's logits after temperature scaling"
ARE_RESCALED = "they were rescaled after training, and no scale of theirs tells how much smoothing there was"


def against_smoothed(seen: Mapping[str, float], training_data: bool | None) -> list[str]:
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


def against_none(seen: Mapping[str, float], rescaled: bool | None) -> list[str]:
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
    elif not cautious_bound(seen) < CLEARLY_NONE:
        kind = "are log-probabilities, so" if seen["log_probabilities"] else "do not rule out that"
        found.append(
            f"the logits {kind} the teacher may have been trained with binary cross-entropy, where they would allow α "
            f"up to {cautious_bound(seen):.3f}"
        )
    if not found and rescaled is not False and (shape := smoothed_shape(seen)):
        found.append(f"{shape}, whatever their scale: {MAY_BE_RESCALED}")
    return list(dict.fromkeys(found))


def surest_answers(seen: Mapping[str, float], rescaled: bool | None) -> str:
    """What in the surest answers rules smoothing out, whatever the accuracy, in words; empty where nothing does.

    Only of logits that are known to be the network's own: a fitted temperature makes any answer as sure as one likes. A
    binary loss, which leaves softmax probabilities surer than its α, must be out of the question too.
    """
    known = rescaled is False and seen["samples"] >= LEAST_SAMPLES and seen["classes"] >= LEAST_CLASSES
    if not known or not seen["surest"] < SUREST or not cautious_bound(seen) < CLEARLY_NONE:
        return ""
    return (
        f"the surest hundredth of its answers leaves room for α = {seen['surest']:.4f} at most, {SUREST:g} being the "
        "bound: smoothing would not have let it become so sure"
    )


def smoothed_shape(seen: Mapping[str, float]) -> str:
    """What in the logits looks smoothed at any scale, in words; empty where nothing does.

    A temperature fitted after training multiplies all logits: margins grow past every bound on their size, and only
    what has no unit is left to go by.
    """
    if seen["tail"] <= SHORT_TAIL:
        return (
            f"the margins have a short upper tail, as smoothing leaves it ({seen['tail']:.2f}, at most {SHORT_TAIL:g})"
        )
    most = EVEN if seen["accuracy"] >= LEAST_FIT else UNFITTED_EVEN
    if seen["uneven"] <= most:
        return (
            "the logits of the other classes are as alike as smoothing makes them "
            f"({seen['uneven']:.2f} of the margin, at most {most:g} at this accuracy)"
        )
    return ""


def binary_bound(seen: Mapping[str, float]) -> float:
    """The largest α a binary loss would allow, where that loss cannot be excluded; 0 where it can."""
    if seen["binary_loss"]:
        return max(seen["binary_high"], seen["binary_median"])
    # With few classes the mean logit is near 0 under either loss.
    return seen["binary_median"] if seen["log_probabilities"] or seen["classes"] < LEAST_CLASSES else 0.0


def cautious_bound(seen: Mapping[str, float]) -> float:
    """The same, counting a low level alone as a sign: binary targets need not sum to 1."""
    return max(binary_bound(seen), seen["binary_median"] if seen["level"] < BINARY_LEVEL else 0.0)


def best_guess(seen: Mapping[str, float]) -> float:
    """α̂ where no verdict is given."""
    if seen["binary_loss"]:
        return seen["binary"]
    mixed = seen["uneven"] > MOST_UNEVEN and seen["tail"] <= MIXED_TAIL and seen["accuracy"] >= LEAST_FIT
    excess = seen["softness"] - seen["moment"] > MIXED_EXCESS or seen["floor"] < MIXED_FLOOR
    if mixed and excess and seen["classes"] <= MIXED_CLASSES:
        return seen["floor"]  # what similar classes get beyond it is not from smoothing
    return seen["moment"]


def for_smoothed(seen: Mapping[str, float], training_data: bool | None) -> tuple[str, ...]:
    """Why "smoothed" is said."""
    found = [
        f"the data are fitted ({_percent(seen['accuracy'])}), yet the target stays below the others by no more than "
        f"{seen['margin']:.2f} nats",
        f"two estimates agree: moment {seen['moment']:.3f}, median {seen['median']:.3f}",
        f"the logits of the other classes are alike ({seen['uneven']:.2f} of the margin, at most {MOST_UNEVEN:g})",
    ]
    if training_data is None:
        found.append("taken as the teacher's training data; this was not said")
    return tuple(found)


def for_none(seen: Mapping[str, float]) -> tuple[str, ...]:
    """Why "not smoothed" is said."""
    high = max(seen["moment_high"], seen["median_high"])
    found = [
        f"the target's logit lies {seen['margin']:.1f} nats above the others: α above {high:.4f} would have stopped it "
        "earlier"
    ]
    if cautious_bound(seen):
        found.append("that holds for a softmax loss and for binary cross-entropy")
    return tuple(found)


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"
