"""What a classifier is worth to its classes, however many samples each has: macro F1, and the worst class."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # reports speak of them, and are written without PyTorch
    from torch import Tensor

from tosmooth.analysis.exact import exact

FEWEST_SAMPLES = 20  # of a class that can be called the worst one: fewer say too little


def macro_f1(predicted: Tensor, labels: Tensor, num_classes: int) -> float:
    """The mean F1 score of the classes, each counted alike, in percent.

    Args:
        predicted: (N,) integers in [0, K).
        labels: (N,) integers in [0, K); negative ones are samples that do not count.
        num_classes: K. A class that is neither a label nor an answer is left out, as scikit-learn does.

    Returns:
        In [0, 100]; NaN without samples.
    """
    counted = labels >= 0
    if not counted.any():
        return float("nan")
    own, answers = labels[counted].long(), predicted[counted].long()
    # F1 = 2 · right / (samples + answers) of a class.
    right = own[own == answers].bincount(minlength=num_classes)
    seen = own.bincount(minlength=num_classes) + answers.bincount(minlength=num_classes)
    occurs = seen.nonzero()[:, 0]
    return 100 * float((2 * exact(right[occurs]) / exact(seen[occurs])).mean())


def worst_class(predicted: Tensor, labels: Tensor, fewest: int = FEWEST_SAMPLES) -> float:
    """The accuracy of the class whose accuracy is lowest, in percent of its samples.

    Args:
        predicted: (N,) integers in [0, K).
        labels: (N,) integers in [0, K); negative ones are samples that do not count.
        fewest: classes with fewer samples are left out.

    Returns:
        In [0, 100]; NaN where every class is left out.
    """
    counted = labels >= 0
    own, right = labels[counted].long(), (predicted == labels)[counted]
    samples = own.bincount()
    right_of = own[right].bincount(minlength=len(samples))
    enough = samples >= max(1, fewest)
    return 100 * float((right_of[enough] / samples[enough]).min()) if enough.any() else float("nan")


def agreement(one: Tensor, other: Tensor) -> float:
    """The share of samples on which two models give the same answer, right or wrong, in percent.

    Args:
        one: (N,) answers; negative ones are samples that could not be read, and do not count.
        other: of the other model on the same samples.

    Returns:
        In [0, 100]; NaN without samples that both have answered.

    Raises:
        ValueError: shapes do not fit.
    """
    if one.shape != other.shape:
        raise ValueError(f"answers to other samples: {tuple(one.shape)} and {tuple(other.shape)}")
    both = (one >= 0) & (other >= 0)
    return 100 * float(exact((one == other)[both]).mean()) if both.any() else float("nan")
