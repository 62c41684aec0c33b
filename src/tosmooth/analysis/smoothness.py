"""How smooth a teacher's targets are in the end: γ of Müller, Kornblith and Hinton (NeurIPS 2019).

    γ = K / ((K − 1) · N) · Σ_i (1 − p_i,y)

0 for one-hot targets, 1 for uniform ones. It puts a smoothed teacher and a tempered one on one axis: both make the
targets smoother.
"""

from __future__ import annotations

from torch import Tensor

from tosmooth.analysis.exact import exact
from tosmooth.analysis.stability import check_probabilities


def smoothness(probabilities: Tensor, labels: Tensor) -> float:
    """Müller's γ of a teacher's targets.

    Args:
        probabilities: what the student is asked for, p_T(z_t): (N, K), each row summing to 1, K at least 2.
        labels: (N,) in [0, K); rows labelled −100 are skipped.

    Returns:
        γ in [0, K / (K − 1)]; 0 is one-hot on the labels, 1 is uniform, above 1 is against the labels.

    Raises:
        ValueError: shapes do not fit, fewer than 2 classes, a label is outside the classes, a row is no distribution,
            or there is no row.
    """
    check_probabilities(probabilities, labels)
    classes = probabilities.shape[1]
    kept = labels != -100
    own_labels = labels[kept].long()
    if classes < 2 or not len(own_labels):
        raise ValueError(f"smoothness needs at least 2 classes and one row, got {classes} and {len(own_labels)}")
    if own_labels.min() < 0 or own_labels.max() >= classes:
        raise ValueError(f"labels must be in [0, {classes}); found {int(own_labels.min())} to {int(own_labels.max())}")
    own = probabilities.detach()[kept].gather(1, own_labels[:, None])
    return classes / (classes - 1) * float((1 - exact(own)).mean())
