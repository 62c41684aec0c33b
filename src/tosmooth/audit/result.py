"""The result of an audit: numbers, and what they mean in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import tosmooth
from tosmooth.analysis.label_smoothing import SmoothingEstimate
from tosmooth.analysis.mixed_answers import ImageMixing
from tosmooth.analysis.mixing_rules import AskedAboutMixed
from tosmooth.analysis.similarity import default_similar_count
from tosmooth.analysis.soft_targets import SoftTarget
from tosmooth.audit.advice import Advice, advise
from tosmooth.audit.collecting import Collected


@dataclass(frozen=True)
class Seen:
    """What was looked at.

    Attributes:
        teacher: its name or file, as given.
        data: the source of the samples, in words.
        split: "train", "validation", "test", or None for saved logits.
        training_data: whether the teacher was trained on these samples; None where it is not known.
        rescaled: whether its logits were multiplied after training, as temperature scaling does; None where it is not
            known. A model that the audit runs answers with logits of its own.
        mixing: ways in which its training may have mixed images (`ways_left`); None where nothing is known of it.
    """

    teacher: str
    data: str
    split: str | None
    training_data: bool | None
    rescaled: bool | None = False
    mixing: tuple[ImageMixing, ...] | None = None


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        seen: what was looked at.
        smoothing: α̂ with its interval, the verdict and its reasons.
        metrics: `top1` and `top5` in percent, `nll`, `ece`, `brier`.
        reliability: of the reliability curve, a row per bin with `confidence`, `accuracy`, `count`.
        stability: in [0, 1]; nearer 1 = more erased. NaN with very many classes.
        soft_targets: one row per temperature.
        similar_source: what says which classes are similar; None where none are.
        similar_count: m, of K − 1.
        neighbours: names of the classes similar to each class.
        advice: what to do, and what was not seen.
        notes: what was left out of the teacher's file.
    """

    seen: Seen
    smoothing: SmoothingEstimate
    metrics: Mapping[str, float]
    reliability: Sequence[Mapping[str, float]]
    stability: float
    soft_targets: Sequence[SoftTarget]
    similar_source: str | None
    similar_count: int
    neighbours: Mapping[str, Sequence[str]]
    advice: Sequence[Advice]
    notes: Sequence[str] = ()

    def as_dict(self) -> dict[str, Any]:
        """The same as plain data, for `audit.json`."""
        whole = asdict(self)
        whole["smoothing"] = {**asdict(self.smoothing), "interval": list(self.smoothing.interval)}
        return {"tosmooth": tosmooth.__version__, **whole}


def conclude(collected: Collected, seen: Seen, classes: Sequence[str], asked: AskedAboutMixed | None = None) -> Audit:
    """The audit of what one pass has gathered.

    Args:
        collected: the pass.
        seen: what was looked at.
        classes: K names.
        asked: what the teacher says of mixed images; None where it was not asked about any.

    Raises:
        ValueError: nothing was gathered, or probabilities were given for logits.
    """
    smoothing = collected.judge(seen.training_data, seen.rescaled, asked)
    similar = collected.similar()
    targets = collected.soft_targets(similar)
    table = collected.metrics.reliability()
    count = default_similar_count(len(classes))
    neighbours = {}
    if similar is not None:
        neighbours = {
            f"{index}: {name}": [classes[int(other)] for other in similar[index].nonzero()[:, 0]]
            for index, name in enumerate(classes)
        }
    return Audit(
        seen,
        smoothing,
        collected.metrics.compute(),
        table[table["count"] > 0].to_dict("records"),
        collected.stability(),
        targets,
        collected.similar_source if similar is not None else None,
        count,
        neighbours,
        advise(
            smoothing,
            targets,
            seen.training_data,
            similar_share=count / max(1, len(classes) - 1),
            mixing_told=seen.mixing is not None and len(seen.mixing) == 1,
        ),
    )
