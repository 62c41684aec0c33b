"""Stratified, seeded choices of images."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from tosmooth.errors import DataError


def stratified_choice(labels: Tensor, count: int, seed: int) -> Tensor:
    """Indices of `count` samples with the classes' shares kept (largest remainder), sorted.

    Args:
        labels: (N,) int64.
        count: from 0 to N.
        seed: same seed, same choice.
    """
    generator = np.random.default_rng(seed)
    values = labels.numpy()
    classes, sizes = np.unique(values, return_counts=True)
    exact = sizes * (count / max(1, len(values)))
    shares = np.floor(exact).astype(int)
    # Rounding leaves a few over: they go to the classes that lost most by it, ties to the lower class.
    for position in np.argsort(-(exact - shares), kind="stable")[: count - shares.sum()]:
        shares[position] += 1
    chosen = [
        generator.permutation(np.flatnonzero(values == c))[:share] for c, share in zip(classes, shares, strict=True)
    ]
    return torch.from_numpy(np.sort(np.concatenate(chosen)) if chosen else np.zeros(0, dtype=np.int64))


def split_off(labels: Tensor, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Indices of (the rest, the part split off), stratified; the part is empty for a fraction of 0.

    Raises:
        DataError: fraction outside [0, 1); the part would leave a class without training images, or be empty though
            asked for.
    """
    if not 0 <= fraction < 1:
        raise DataError(f"data.validation: {fraction:g} is not a share of training; give 0 (none) up to below 1")
    count = round(fraction * len(labels))
    if fraction > 0 and count == 0:
        raise DataError(
            f"data.validation: {fraction:g} of {len(labels)} training images is none; raise it, or set it to 0"
        )
    part = stratified_choice(labels, count, seed)
    keep = torch.ones(len(labels), dtype=torch.bool)
    keep[part] = False
    rest = keep.nonzero().flatten()
    lost = sorted(set(labels.tolist()) - set(labels[rest].tolist()))
    if lost:
        raise DataError(f"data.validation: {fraction:g} takes all training images of class {lost[0]}; lower it")
    return rest, part
