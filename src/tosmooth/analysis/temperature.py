"""One temperature for a trained model's logits, fitted to validation samples: is its calibration one scalar away?

Temperature scaling is Guo et al.'s (ICML 2017): softmax(logits / T) with the T under which validation labels are most
likely. It changes no answer, only how sure the model is of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from tosmooth.analysis.exact import exact

MOST_KEPT = 2**24  # logits that are kept for the fit: 64 MiB a model, 16,000 samples of 1,000 classes
MOST_AT_ONCE = 2**24  # logits that are looked at at once, in float64
RANGE = 100.0  # T is looked for in [1 / RANGE, RANGE]


class TemperatureFit:
    """Keeps the logits of a pass over validation, and fits a temperature to them.

    Of a split whose logits are more than `MOST_KEPT`, every k-th sample by position is kept: a split may be sorted by
    class, so that its first part would be of some classes only.

    Args:
        samples: N, of the whole split.
        num_classes: K.
    """

    def __init__(self, samples: int, num_classes: int) -> None:
        self._every = max(1, math.ceil(samples * num_classes / MOST_KEPT))
        self._kept: list[tuple[Tensor, Tensor]] = []

    def update(self, logits: Tensor, labels: Tensor, indices: Tensor) -> None:
        """Add logits (n, K), labels (n,) in [0, K) and positions in the split (n,)."""
        chosen = indices % self._every == 0
        self._kept.append((logits[chosen].float().cpu(), labels[chosen].cpu()))

    def compute(self, total: Callable[[float], float] = lambda own: own) -> float | None:
        """The temperature, see `fit_temperature`.

        Args:
            total: the sum of a number over processes that have seen a part of the split each; all must ask for it.
        """
        return _fit([part for kept in self._kept for part in _parts(*kept)], total)


def fit_temperature(logits: Tensor, labels: Tensor) -> float | None:
    """The temperature T > 0 under which the labels are most likely, given softmax(logits / T).

    The negative log-likelihood is convex in 1/T, so its slope has one root at most; SciPy's `brentq` finds it.

    Args:
        logits: (N, K); −∞ is an output that the model rules out.
        labels: (N,) in [0, K).

    Returns:
        T; None where no T in [0.01, 100] is the best one: all answers are right, or no better than chance; or a label
        is of an output that the model rules out.

    Example:
        >>> logits = torch.tensor([[2.0, 0.0], [2.0, 0.0], [2.0, 0.0], [2.0, 0.0]])
        >>> round(fit_temperature(logits, torch.tensor([0, 0, 0, 1])), 4)  # 2 / ln 3: three of four are right
        1.8205
    """
    return _fit(_parts(logits, labels), lambda own: own)


def _parts(logits: Tensor, labels: Tensor) -> list[tuple[Tensor, Tensor]]:
    rows = max(1, MOST_AT_ONCE // logits.shape[1])
    return list(zip(torch.split(logits, rows), torch.split(labels, rows), strict=True))


def _fit(parts: list[tuple[Tensor, Tensor]], total: Callable[[float], float]) -> float | None:
    from scipy.optimize import brentq  # which only those who fit should wait for

    def slope(log_t: float) -> float:
        return total(sum(_slope(*part, math.exp(-log_t)) for part in parts))

    low, high = -math.log(RANGE), math.log(RANGE)
    # Over log T, it falls from where answers are too sure of themselves to where they are not sure enough.
    ends = slope(low), slope(high)
    if not (math.isfinite(ends[0]) and math.isfinite(ends[1]) and ends[0] > 0 > ends[1]):
        return None
    return math.exp(float(brentq(slope, low, high, xtol=1e-9)))


def _slope(logits: Tensor, labels: Tensor, scale: float) -> float:
    """The derivative of the summed negative log-likelihood of softmax(scale · logits) by the scale."""
    values = exact(logits)  # (n, K)
    labels = labels.to(values.device)
    expected = ((scale * values).softmax(1) * values.masked_fill(values == -math.inf, 0.0)).sum(1)  # (n,)
    return float((expected - values.gather(1, labels[:, None]).squeeze(1)).sum())
