"""Which student stands for its setting: the best seed by validation. Test figures have no say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tosmooth.tasks.metric import Metric


def best_by_validation(records: Mapping[str, Mapping[str, Any]], metric: Metric) -> tuple[str, int]:
    """The best of a setting's models, and how many it was chosen from.

    Args:
        records: figures of the finished models by name, in the order of the grid; one at least.
        metric: whose validation figures decide.

    Returns:
        The name, the first of equals. The number is 0 where none has a validation figure: then it is the first.
    """
    known = {name: value for name, own in records.items() if math.isfinite(value := _number(own.get(metric.val)))}
    if not known:
        return next(iter(records)), 0
    return max(known, key=lambda name: metric.sign * known[name]), len(known)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
