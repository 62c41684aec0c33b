"""What all sentences about a study have in common."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tosmooth.config.types import Knowledge
from tosmooth.folder.older import as_written
from tosmooth.tasks.metric import TOP1, Metric
from tosmooth.words.settings import describe, describe_with_rate, varied_keys
from tosmooth.words.students import how_students_train

Facts = Mapping[str, Any]  # a part of `analysis/*.json`: verdicts, numbers and codes


@dataclass(frozen=True)
class Wording:
    """What sentences about a study have in common.

    Attributes:
        metric: of the study.
        smoothing: what is known of its teachers' α.
        varied: which of "objective" and "student" belong into names.
        rates: the learning rates that settings could have.
        preview: whether the study is too short to conclude from.
        training: what its students were trained with.
    """

    metric: Metric = TOP1
    smoothing: Knowledge = "known"
    varied: Collection[str] = ()
    rates: Collection[float] = ()
    preview: bool = False
    training: str = ""

    def name(self, setting: Facts) -> str:
        """A setting, as sentences call it."""
        return describe(setting, self.varied, self.smoothing)

    def with_rate(self, setting: Facts) -> str:
        """The same with its learning rate, where it could have had others."""
        return describe_with_rate(setting, self.varied, self.smoothing, self.rates)


def wording_of(advice: Facts, cells: pd.DataFrame, metric: Metric, *, preview: bool = False) -> Wording:
    """The wording of a study, from its frozen advice and its students.

    Args:
        advice: of the study; of an earlier version, it does not say all.
        cells: as in `results.csv`.
        metric: of the study.
        preview: whether it is too short to conclude from.
    """
    rates, training = advice.get("learning_rates") or (), advice.get("training") or {}
    written = as_written(training)
    return Wording(
        metric=metric,
        smoothing=advice.get("smoothing", "known"),
        varied=varied_keys(cells),
        rates=rates,
        preview=preview,
        training=how_students_train(training, rates) if written is None else written,
    )
