"""A teacher asked about mixed images: pairs of its training images, blended as by MixUp or pasted as by CutMix."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

PAIRS = 300
SHARES = (0.5, 0.7, 0.9)  # of the first image; less than the half is as telling as more


def drawn_pairs(labels: Tensor, count: int = PAIRS) -> Tensor:
    """Pairs (n, 2) of positions of images with different labels, n ≤ count; the same for the same labels.

    Args:
        labels: (N,).
        count: at most so many.
    """
    generator = torch.Generator().manual_seed(0)
    first = torch.randperm(len(labels), generator=generator)
    second = torch.randperm(len(labels), generator=generator)
    different = labels[first] != labels[second]
    return torch.stack([first[different], second[different]], dim=1)[:count]


def blended(first: Tensor, second: Tensor, share: float) -> tuple[Tensor, float]:
    """Images (N, C, H, W) blended pixel by pixel as by MixUp (Zhang et al., 2018), and the share of the first."""
    return share * first + (1 - share) * second, share


def pasted(first: Tensor, second: Tensor, share: float) -> tuple[Tensor, float]:
    """Images with a box of the second pasted in, as by CutMix (Yun et al., 2019), and the share left of the first.

    The boxes lie at places drawn for each pair, always wholly within the image.
    """
    height, width = first.shape[-2:]
    rows, columns = (max(1, round(side * math.sqrt(1 - share))) for side in (height, width))
    generator = torch.Generator().manual_seed(1)
    top = torch.randint(height - rows + 1, (len(first), 1), generator=generator)
    left = torch.randint(width - columns + 1, (len(first), 1), generator=generator)
    inside_rows = (torch.arange(height) >= top) & (torch.arange(height) < top + rows)
    inside_columns = (torch.arange(width) >= left) & (torch.arange(width) < left + columns)
    box = (inside_rows[:, :, None] & inside_columns[:, None, :])[:, None].to(first.device)
    return torch.where(box, second, first), 1 - rows * columns / (height * width)


KINDS: tuple[Callable[[Tensor, Tensor, float], tuple[Tensor, float]], ...] = (blended, pasted)
