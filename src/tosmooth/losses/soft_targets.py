"""Losses against class probabilities, such as MixUp and CutMix make of two labels."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def expected_loss(loss_of: Callable[[Tensor], Tensor], probabilities: Tensor, *, labels: int | None = None) -> Tensor:
    """Σ_y p_y · loss_of(y) per row: the loss to expect where the label is drawn from the probabilities.

    Cross-entropy against probabilities is this sum already, since it is linear in them. For a loss that asks which
    class is the right one, such as `dkd`, it is the definition.

    Args:
        loss_of: labels (N,) int64 → one loss per row, (N,).
        probabilities: of the classes, (N, K); rows sum to 1.
        labels: how many classes of a row have a probability above 0, at most; None counts them, for which a GPU waits.

    Returns:
        (N,).
    """
    if labels is None:
        labels = int((probabilities > 0).sum(-1).max()) if len(probabilities) else 1
    weights, classes = probabilities.topk(min(labels, probabilities.shape[-1]), dim=-1)  # (N, M) both
    # A class that is no label of the row may have any loss, an infinite one too, and 0 times that is NaN, in the
    # gradient as well: the likeliest label is asked about in its place.
    classes = torch.where(weights > 0, classes, classes[:, :1])
    rows = probabilities.new_zeros(len(probabilities))
    for number in range(weights.shape[-1]):
        rows = rows + weights[:, number] * loss_of(classes[:, number])
    return rows
