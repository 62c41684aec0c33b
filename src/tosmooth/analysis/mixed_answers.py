"""What a teacher's answers to mixed images say of its training: was it shown such images, and how much was it smoothed?

Where training on a loss has ended, scaling all logits no longer lowers it *on the images and targets of the training*.
A teacher of mixed images is stationary on mixed images, not on whole ones: there its moment estimate of α is too high
or too low, by up to 0.14 (docs/audit.md). Asked about pairs mixed as its training mixed them, the same estimate is
right again. So each way of mixing that may have been used has its own α̂, and one that would ask for an α far below 0
was not used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import beta
from torch import Tensor

from tosmooth.analysis.exact import exact
from tosmooth.analysis.parts import all_finite
from tosmooth.analysis.smoothing_statistics import SmoothingStatistics

SHARES = (0.5, 0.7, 0.9)  # of the first image of a pair; less than the half is as telling as more
BLENDED, PASTED = "blended", "pasted"


@dataclass(frozen=True)
class ImageMixing:
    """A way of mixing the images of a training.

    Attributes:
        mixup: a of Beta(a, a), from which the shares of blended images (Zhang et al., 2018) are drawn; 0: none.
        cutmix: the same of pasted images (Yun et al., 2019). With both, each batch has one of them, as often as the
            other.
        probability: share of the batches that are mixed.
    """

    mixup: float = 0.0
    cutmix: float = 0.0
    probability: float = 1.0

    @property
    def mixes(self) -> bool:
        """Whether any image is mixed."""
        return self.probability > 0 and (self.mixup > 0 or self.cutmix > 0)

    @property
    def words(self) -> str:
        """`mixup 0.2 and cutmix 1`."""
        parts = [f"{name} {a:g}" for name, a in (("mixup", self.mixup), ("cutmix", self.cutmix)) if a]
        often = "" if self.probability == 1 else f", in {100 * self.probability:g} % of the batches"
        return " and ".join(parts) + often if self.mixes else "no mixing"


class MixedAnswers:
    """A teacher's answers to pairs of its training images, mixed with known shares.

    Args:
        num_classes: K, at least 3.

    Raises:
        ValueError: fewer classes.
    """

    def __init__(self, num_classes: int) -> None:
        if num_classes < 3:
            raise ValueError(f"mixed images of two classes tell nothing of a third; got {num_classes} classes")
        self.num_classes = num_classes
        self._parts: dict[tuple[str, float], list[Tensor]] = {}

    def update(self, kind: str, wanted: float, share: float, logits: Tensor, first: Tensor, second: Tensor) -> None:
        """Add the answers to pairs of one kind.

        Args:
            kind: `BLENDED` or `PASTED`.
            wanted: which of `SHARES` they were mixed for.
            share: of the first image, in (0, 1); boxes of whole pixels may miss what was wanted a little.
            logits: (n, K), n at least 1, finite.
            first: (n,) classes of the first images.
            second: (n,) of the second ones; each another than the first.

        Raises:
            ValueError: a shape does not fit, a pair is of one class, or a logit is not finite.
        """
        if (
            logits.ndim != 2
            or logits.shape[1] != self.num_classes
            or not first.shape == second.shape == logits.shape[:1]
        ):
            raise ValueError(
                f"logits {tuple(logits.shape)} and classes {tuple(first.shape)}, {tuple(second.shape)} must be "
                f"(n, {self.num_classes}) and (n,)"
            )
        if bool((first == second).any()):
            raise ValueError("the two images of a pair must be of different classes")
        if not all_finite(logits):
            raise ValueError("logits hold NaN or infinite values")
        values = exact(logits)
        first, second = first.to(values.device), second.to(values.device)
        one, other = values.gather(1, first[:, None])[:, 0], values.gather(1, second[:, None])[:, 0]
        asked = share * one + (1 - share) * other
        found = torch.stack([asked - (values.softmax(1) * values).sum(1), asked - values.mean(1)])
        self._parts.setdefault((kind, wanted), []).append(found.cpu())

    @property
    def pairs(self) -> int:
        """The fewest pairs of a kind and share; 0 where one of them is missing."""
        return min(self._of(kind, share).shape[1] for kind in (BLENDED, PASTED) for share in SHARES)

    def moment(self, mixing: ImageMixing, whole: SmoothingStatistics) -> float:
        """α̂ of a teacher that was trained with this mixing: the moment estimate on images mixed so.

        Σ_λ w(λ) · E⟨y_λ − p, z⟩ / Σ_λ w(λ) · E⟨y_λ − 1/K, z⟩, w(λ) by their Beta distributions, between the
        shares asked about by linear interpolation; at λ = 1 the whole images.

        Args:
            mixing: how images were mixed.
            whole: the answers to whole images, with the labels of the training.

        Returns:
            NaN where the targets' logits do not stand out.
        """
        weights = _weights(mixing)
        of_whole = [float(whole.column(name).mean()) for name in ("gain", "scale")]
        parts = [(1 - sum(weights.values()), of_whole)]
        parts += [(weight, self._of(*key).mean(1).tolist()) for key, weight in weights.items()]
        gain, scale = (sum(weight * means[row] for weight, means in parts) for row in (0, 1))
        return gain / scale if scale > 0 else math.nan

    def _of(self, kind: str, share: float) -> Tensor:
        """Gain and scale (2, n) of all pairs of a kind and share."""
        return torch.cat(self._parts.get((kind, share), [torch.empty(2, 0, dtype=torch.float64)]), dim=1)


def _weights(mixing: ImageMixing) -> dict[tuple[str, float], float]:
    """How much each kind and share counts; what is missing to 1 is of whole images."""
    strengths = {BLENDED: mixing.mixup, PASTED: mixing.cutmix}
    used = [kind for kind, a in strengths.items() if a]
    found = {}
    for kind in used:
        for share, weight in zip(SHARES, _interpolated(strengths[kind]), strict=False):
            found[kind, share] = mixing.probability * float(weight) / len(used)
    return found


def _interpolated(a: float) -> NDArray[np.float64]:
    """Weights of `SHARES` and of 1: the mean over λ ~ Beta(a, a), folded at 1/2, of what is linear between them."""
    nodes = np.array([*SHARES, 1.0])
    edges = np.linspace(0.5, 1.0, 4001)
    mass, middle = np.diff(beta.cdf(edges, a, a)), (edges[:-1] + edges[1:]) / 2
    hats = np.stack([np.interp(middle, nodes, row) for row in np.eye(len(nodes))])
    found: NDArray[np.float64] = hats @ (mass / mass.sum())
    return found
