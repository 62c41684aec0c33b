"""Where a classifier's errors land: on the classes that resemble the right one, or on those that do not."""

from __future__ import annotations

from torch import Tensor

from tosmooth.analysis.exact import exact


def errors_on(predicted: Tensor, labels: Tensor, classes: Tensor) -> float:
    """The share of all samples that are taken for a class of their own class's set, in percent.

    With the sets S1 and S2 of the diffusion index it says what a user sees of diffusion. Over S1, S2 and the rest these
    shares add up to the error rate, so that a change of one is in points of accuracy.

    Args:
        predicted: (N,) integers in [0, K).
        labels: (N,) integers in [0, K); negative ones are samples that do not count.
        classes: (K, K) bool, row k: the set of class k, as `similar_classes` returns it. k itself is not looked at.

    Returns:
        In [0, 100]; NaN without samples.

    Raises:
        ValueError: shapes do not fit.
    """
    if predicted.shape != labels.shape or predicted.ndim != 1 or classes.shape != (len(classes), len(classes)):
        raise ValueError(
            f"expected predictions and labels (N,) and sets (K, K), got {tuple(predicted.shape)}, "
            f"{tuple(labels.shape)} and {tuple(classes.shape)}"
        )
    counted = labels >= 0
    own, answer = labels[counted].long(), predicted[counted].long()
    if not len(own):
        return float("nan")
    return 100 * float(exact(classes[own, answer] & (own != answer)).mean())
