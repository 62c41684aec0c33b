"""Stability: how much alike a teacher's answers within a class are (Shen et al., ICLR 2021).

    stability = 1 − (1/K) Σ_c (1/n_c) Σ_i ‖p_ic − p̄_c‖²

with p_ic the teacher's probabilities at T = 1 for sample i of class c, and p̄_c their mean. **The formula is written
from memory of the paper.** Nearer 1: the answers to all samples of a class are alike, so more of what tells them apart
is erased.
"""

from __future__ import annotations

from torch import Tensor

from tosmooth.analysis.centroids import ClassCentroids
from tosmooth.analysis.exact import exact


def stability(probabilities: Tensor, labels: Tensor) -> float:
    """The stability of a teacher.

    Args:
        probabilities: (N, K), each row summing to 1.
        labels: (N,) in [0, K); rows labelled −100 are skipped.

    Returns:
        A number in [0, 1]. Classes without samples are left out of the mean over classes.

    Raises:
        ValueError: shapes do not fit, a label is outside the classes, a row is no distribution, or there is no row.
    """
    check_probabilities(probabilities, labels)
    seen = ClassCentroids(probabilities.shape[1], probabilities.shape[1])
    seen.update(probabilities, labels)
    return stability_from(seen)


def stability_from(seen: ClassCentroids) -> float:
    """The same from an accumulator of the probabilities, for data that come in batches.

    Raises:
        ValueError: nothing was added.
    """
    state = seen.state_dict()
    present = state["counts"] > 0
    if not present.any():
        raise ValueError("no samples to compute the stability from")
    spread = state["squares"][present] / state["counts"][present]  # (1/n_c) Σ_i ‖p_ic − p̄_c‖²
    return 1 - float(spread.mean())


def check_probabilities(probabilities: Tensor, labels: Tensor) -> None:
    """Refuse what is not (N, K) distributions with (N,) integer labels.

    Raises:
        ValueError: it is not.
    """
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1]:
        raise ValueError(
            f"probabilities {tuple(probabilities.shape)} and labels {tuple(labels.shape)} must be (N, K) and (N,)"
        )
    if labels.is_floating_point():
        raise ValueError(f"labels must be integers, got {labels.dtype}")
    rows = exact(probabilities.detach()[labels != -100])
    # Rows of a softmax in half precision sum to 1 within about 0.01. NaN fails both comparisons.
    if not (((rows >= 0) & (rows <= 1.001)).all() and ((rows.sum(1) - 1).abs() <= 0.02).all()):
        raise ValueError("each row of probabilities must hold values in [0, 1] that sum to 1; were logits given?")
