"""Everything an audit wants to know, from one pass over logits, labels and (where there are any) features."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from tosmooth.analysis.calibration import ClassificationMetrics
from tosmooth.analysis.centroids import ClassCentroids
from tosmooth.analysis.exact import exact
from tosmooth.analysis.label_smoothing import SmoothingEstimate, judge
from tosmooth.analysis.mixing_rules import AskedAboutMixed
from tosmooth.analysis.parts import in_parts
from tosmooth.analysis.similarity import default_similar_count, similar_classes
from tosmooth.analysis.smoothing_statistics import SmoothingStatistics
from tosmooth.analysis.soft_targets import MOST_CLASSES, SoftTarget, SoftTargets
from tosmooth.analysis.stability import stability_from

FROM_FEATURES = "centroids of the teacher's penultimate features"
FROM_LOGITS = "class means of the teacher's logits"


class Collected:
    """The accumulators of an audit.

    Args:
        num_classes: K, at least 2.
        temperatures: of the table of soft targets.
    """

    def __init__(self, num_classes: int, temperatures: Sequence[float]) -> None:
        self.num_classes = num_classes
        self.smoothing = SmoothingStatistics(num_classes)
        self.metrics = ClassificationMetrics(num_classes)
        self._targets = SoftTargets(num_classes, temperatures)
        self._few = num_classes <= MOST_CLASSES  # else K × K numbers are too many
        self._probabilities = ClassCentroids(num_classes, num_classes if self._few else 1)
        self._geometry: ClassCentroids | None = None
        self.similar_source: str | None = None

    def update(self, logits: Tensor, labels: Tensor, features: Tensor | None = None) -> None:
        """Add logits (N, K), labels (N,) in [0, K), and penultimate features (N, D); all batches with, or none.

        Raises:
            ValueError: shapes do not fit, a label is outside the classes, a logit or feature is not finite.
        """
        logits = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
        self.smoothing.update(logits, labels)  # checks everything first
        self.metrics.update(logits, labels)
        self._targets.update(logits, labels)
        if self._few:
            for part, own in in_parts(logits, labels):
                self._probabilities.update(exact(part).softmax(1), own)
        described = features if features is not None else logits if self._few else None
        if described is None:
            return
        if self._geometry is None:
            self._geometry = ClassCentroids(self.num_classes, described.shape[1])
            self.similar_source = FROM_LOGITS if features is None else FROM_FEATURES
        self._geometry.update(described.float(), labels)

    def judge(
        self, training_data: bool | None, rescaled: bool | None, asked: AskedAboutMixed | None = None
    ) -> SmoothingEstimate:
        """The verdict on label smoothing; the arguments are those of `label_smoothing.judge`."""
        return judge(self.smoothing, training_data=training_data, rescaled=rescaled, asked=asked)

    def stability(self) -> float:
        """Shen et al.'s stability; NaN where there are too many classes to hold K × K numbers."""
        return stability_from(self._probabilities) if self._few else math.nan

    def similar(self) -> Tensor | None:
        """The m most similar classes of each class, (K, K) boolean; None for fewer than 3 classes or too many."""
        if self._geometry is None or self.num_classes < 3 or not self._few or (self._geometry.counts > 0).sum() < 3:
            return None
        return similar_classes(self._geometry, default_similar_count(self.num_classes))[0].cpu()

    def soft_targets(self, similar: Tensor | None) -> list[SoftTarget]:
        """The table of soft targets."""
        return self._targets.compute(similar)
