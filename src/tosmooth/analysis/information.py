"""Mutual information between an image and a teacher's logit difference (after Müller et al., NeurIPS 2019).

How much does the difference z_a − z_b of two logits still tell about *which* image of the classes a and b was shown?
With L augmented views of N images and Y | x ~ Normal(μ_x, σ²), σ² pooled over images,

    Î = mean over x and l of [ log Normal(y_xl; μ_x, σ²) − log (1/N) Σ_x' Normal(y_xl; μ_x', σ²) ]   (nats)

**This form is ours**: the estimator as printed in the paper leaves the range [0, log N]. Here μ_x leaves out the view
that is scored, on both sides of the difference: with that view, the plug-in is too high by about 1/(2L). Î is at most
log N, and dips below 0, to about −1/(2L), where nothing is to be told. It depends on L and on the augmentation: report
both with it.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

BLOCK = 2**22  # densities looked at together: 32 MB


def mutual_information(samples: Tensor) -> float:
    """Î(image; logit difference) in nats, at most log N.

    Args:
        samples: the logit difference of L views of N images, (N, L), both at least 2. Where no image's views differ
            (σ² = 0), the answer is the limit σ² → 0: the information in which of the distinct values was shown.

    Raises:
        ValueError: not (N, L), fewer than 2 images or views, or a value is not finite.
    """
    if samples.ndim != 2 or min(samples.shape) < 2:
        raise ValueError(f"samples must be (N images, L views), both at least 2; got {tuple(samples.shape)}")
    values = samples.detach().cpu().double()
    if not values.isfinite().all():
        raise ValueError("samples hold NaN or infinite values")
    images, views = values.shape
    if bool((values == values[:, :1]).all()):
        alike = values[:, 0].numpy()
        _, place, counts = np.unique(alike, return_inverse=True, return_counts=True)
        return math.log(images) - float(np.log(counts[place]).mean())

    values = values - values.mean()  # keeps the squares below accurate
    means = values.mean(1)  # (N,)
    variance = float((values - means[:, None]).square().sum()) / (images * (views - 1))
    others = (values.sum(1, keepdim=True) - values) / (views - 1)  # (N, L): μ_x without the view that is scored
    total = 0.0
    size = max(1, BLOCK // (images * views))
    for rows in (torch.arange(start, min(start + size, images)) for start in range(0, images, size)):
        scored = values[rows]  # (n, L)
        # log densities up to a constant that both terms share; (n, L, N)
        logs = -(scored[:, :, None] - means).square() / (2 * variance)
        own = -(scored - others[rows]).square() / (2 * variance)  # (n, L)
        logs[torch.arange(len(rows)), :, rows] = own
        total += float((own - logs.logsumexp(2)).sum())
    return total / values.numel() + math.log(images)
