"""One plain sentence for each of the three views, by rule from the teachers' numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from tosmooth.words.numbers import fixed

SAME_SHARE = 0.05  # compactness within 5 % counts as equal
SAME_NATS = 0.05  # mutual information within 0.05 nats does
SAME_STABILITY = 0.005


def view_sentences(
    teachers: pd.DataFrame,
    effect: Mapping[str, Any],
    pair: Sequence[str],
    samples: str = "images",
    *,
    augmented: bool = True,
) -> dict[str, str]:
    """What each view says of the most smoothed teacher against the unsmoothed one.

    Args:
        teachers: rows of `views.csv` with role "teacher".
        effect: the advice's verdict on diffusion.
        pair: names of the two similar classes.
        samples: what they are, in the plural.
        augmented: whether there are augmented views of them to measure mutual information with.

    Returns:
        `information` (Müller et al.), `stability` (Shen et al.) and `diffusion` (the paper).
    """
    values = teachers[["compactness", "mi_similar", "stability"]].apply(pd.to_numeric)  # None alone is no number
    means = values.groupby(teachers["label_smoothing"]).mean()
    found = {"diffusion": str(effect.get("sentence", "Diffusion was not judged."))}
    if len(means) < 2 or means.index.min() > 0:
        text = "There is no pair of a smoothed and an unsmoothed teacher to compare."
        return {"information": text, "stability": text, **found}
    plain, smoothed = means.iloc[0], means.iloc[-1]
    return {
        "information": _information(plain, smoothed, pair, samples, augmented),
        "stability": _stability(plain, smoothed),
        **found,
    }


def _whose(smoothed: pd.Series) -> str:
    """Named by its α, as there may be several smoothed teachers; the row's name is its α."""
    return f"The smoothed teacher's (α = {smoothed.name:g})"


def _compared(value: float, other: float, same: float, less: str, equal: str, more: str) -> str:
    return equal if abs(value - other) <= same else less if value < other else more


def _information(plain: pd.Series, smoothed: pd.Series, pair: Sequence[str], samples: str, augmented: bool) -> str:
    if pd.isna(smoothed.compactness) or pd.isna(plain.compactness):
        return "Compactness was not measured."
    tight = _compared(
        smoothed.compactness, plain.compactness, SAME_SHARE * plain.compactness, "tighter", "as tight", "looser"
    )
    text = (
        f"{_whose(smoothed)} classes are {tight} (within over between scatter {fixed(smoothed.compactness, 3)}, "
        f"against {fixed(plain.compactness, 3)})"
    )
    if pd.isna(smoothed.mi_similar) or pd.isna(plain.mi_similar):
        why = "could not be estimated" if augmented else f"is not measured: {samples} have no augmented views here"
        return f"{text}; mutual information {why}."
    told = _compared(smoothed.mi_similar, plain.mi_similar, SAME_NATS, "less", "as much", "more")
    erased = {
        ("tighter", "less"): "Both say that smoothing has erased information.",
        ("looser", "more"): "Neither says that smoothing has erased information.",
    }.get((tight, told), "The two do not agree that smoothing has erased information.")
    return (
        f"{text}, and its logits tell {told} about which of the {samples} of “{pair[0]}” and “{pair[1]}” was shown "
        f"({fixed(smoothed.mi_similar, 2)} nats, against {fixed(plain.mi_similar, 2)}). {erased}"
    )


def _stability(plain: pd.Series, smoothed: pd.Series) -> str:
    if pd.isna(smoothed.stability) or pd.isna(plain.stability):
        return "Stability was not measured."
    alike = _compared(smoothed.stability, plain.stability, SAME_STABILITY, "less", "no more and no less", "more")
    return (
        f"{_whose(smoothed)} answers within a class are {alike} alike (stability {fixed(smoothed.stability, 3)}, "
        f"against {fixed(plain.stability, 3)})."
    )
