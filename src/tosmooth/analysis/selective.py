"""How well a classifier's confidence tells its right answers from its wrong ones, where it may leave samples out."""

from __future__ import annotations

import torch
from torch import Tensor

from tosmooth.analysis.exact import exact


def risk_coverage_area(confidence: Tensor, correct: Tensor) -> float:
    """The area under the risk–coverage curve (AURC): the mean error rate over all coverages.

    At coverage i/N the i samples with the highest confidence are answered, and the risk is the share of wrong answers
    among them; AURC is the mean of the N risks (Geifman and El-Yaniv, "Selective Classification for Deep Neural
    Networks", NIPS 2017). Samples of equal confidence come in no order: each counts with the error rate of all of them,
    which is what random orders give on average.

    Args:
        confidence: (N,), of the answer that is given.
        correct: (N,), whether it is right.

    Returns:
        A share in [0, 1], less is better: 0 where nothing is wrong, the error rate where confidence says nothing.

    Raises:
        ValueError: shapes do not fit, or there are no samples.

    Example:
        >>> risk_coverage_area(torch.tensor([0.9, 0.8, 0.7, 0.6]), torch.tensor([1, 1, 1, 0]))  # (0 + 0 + 0 + 1/4) / 4
        0.0625
    """
    if confidence.ndim != 1 or confidence.shape != correct.shape or not len(confidence):
        raise ValueError(
            f"expected confidences and answers (N,), N > 0; got {tuple(confidence.shape)}, {tuple(correct.shape)}"
        )
    _, group = torch.unique(exact(confidence), return_inverse=True)  # ascending
    wrong, size = 1 - exact(correct), group.bincount()
    rate = torch.zeros(len(size), dtype=torch.float64, device=wrong.device).index_add_(0, group, wrong) / size
    errors = rate[group.sort(descending=True).values].cumsum(0)  # (N,), among the i surest
    return float((errors / torch.arange(1, len(errors) + 1, device=errors.device)).mean())
