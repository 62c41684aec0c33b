"""What the two older views say of the most smoothed teacher against the unsmoothed one, by rule from their numbers."""

from __future__ import annotations

from typing import Any

import pandas as pd

SAME_SHARE = 0.05  # compactness within 5 % counts as equal
SAME_NATS = 0.05  # mutual information within 0.05 nats does
SAME_STABILITY = 0.005


def judge_views(teachers: pd.DataFrame) -> dict[str, Any]:
    """The most smoothed teacher against the unsmoothed one, means over teachers of one α.

    Args:
        teachers: rows of `views.csv` with role "teacher".

    Returns:
        Empty without such a pair. Else `label_smoothing` of the smoothed one, and for `compactness` (within over
        between scatter), `information` (mutual information in nats) and `stability` a mapping: `verdict`, "less",
        "same" or "more", and both values as `smoothed` and `unsmoothed`; None where it was not measured.
    """
    values = teachers[["compactness", "mi_similar", "stability"]].apply(pd.to_numeric)  # None alone is no number
    means = values.groupby(teachers["label_smoothing"]).mean()
    if len(means) < 2 or means.index.min() > 0:
        return {}
    plain, smoothed = means.iloc[0], means.iloc[-1]
    return {
        "label_smoothing": float(means.index[-1]),
        "compactness": _compared(smoothed.compactness, plain.compactness, SAME_SHARE * plain.compactness),
        "information": _compared(smoothed.mi_similar, plain.mi_similar, SAME_NATS),
        "stability": _compared(smoothed.stability, plain.stability, SAME_STABILITY),
    }


def _compared(smoothed: float, unsmoothed: float, same: float) -> dict[str, Any] | None:
    if pd.isna(smoothed) or pd.isna(unsmoothed):
        return None
    verdict = "same" if abs(smoothed - unsmoothed) <= same else "less" if smoothed < unsmoothed else "more"
    return {"verdict": verdict, "smoothed": float(smoothed), "unsmoothed": float(unsmoothed)}
