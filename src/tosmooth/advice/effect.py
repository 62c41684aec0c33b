"""Does this study show systematic diffusion? A verdict from η alone, by a rule fixed in advance.

The declared form of η is: training features, normalised by the mean distance, not debiased. A smoothed teacher's
students show systematic diffusion at T when, over units, η_S1 > 0, η_S1 − η_S2 > 0, and (where there is an unsmoothed
teacher) η_S1 − η_S2 is larger than for the unsmoothed teacher at the same T and seeds. All must hold, so their
one-sided p-values are joined by the maximum (an intersection–union test), and Holm corrects over (α, T). "Opposite" is
the same rule with every sign turned. The unit is the seed, or the teacher seed where there are several (`units`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import stats

from tosmooth.advice.units import FEWEST_SEEDS, SIGNIFICANCE, by_unit, less_unsmoothed, unit_of, unit_word
from tosmooth.analysis.inference import holm, t_interval

Verdict = Literal["shown", "not shown", "opposite", "mixed", "inconclusive"]
AlphaT = tuple[float, float]


@dataclass(frozen=True)
class Effect:
    """The verdict and the sentence that says it.

    Attributes:
        verdict: "mixed" where some smoothed teachers' students show it and others its opposite.
        sentence: in words.
        shown: (α, T) at which systematic diffusion is shown.
        opposed: (α, T) at which its opposite is.
    """

    verdict: Verdict
    sentence: str
    shown: tuple[AlphaT, ...] = ()
    opposed: tuple[AlphaT, ...] = ()

    @property
    def temperatures(self) -> tuple[float, ...]:
        """Where the verdict was found, whatever α."""
        return tuple(sorted({temperature for _, temperature in self.shown or self.opposed}))


def declared(diffusion: pd.DataFrame, objective: str, *, raised: bool = True) -> pd.DataFrame:
    """The rows of the declared form for one objective: at raised temperatures, or at T₀."""
    if diffusion.empty:
        return diffusion
    own, base = diffusion.temperature, diffusion.reference_temperature
    rows = diffusion[
        (diffusion.objective == objective)
        & (diffusion.split == "train")
        & (diffusion.normalisation == "mean_distance")
        & ~diffusion.debiased.astype(bool)
        & ((own > base) if raised else (own == base))
    ]
    return rows.assign(difference=rows.eta_s1 - rows.eta_s2)


def _greater_than_zero(values: Sequence[float]) -> float:
    """One-sided p of the mean being above 0 (t-test); exact agreement counts as its limit."""
    numbers = np.asarray(values, dtype=float)
    if np.ptp(numbers) == 0:
        return 0.0 if numbers[0] > 0 else 1.0
    return float(stats.ttest_1samp(numbers, 0, alternative="greater").pvalue)


def judge_effect(diffusion: pd.DataFrame, objective: str = "hinton") -> Effect:
    """The verdict on systematic diffusion.

    Args:
        diffusion: the table `analysis/diffusion.csv`.
        objective: the distillation objective to judge.
    """
    rows = declared(diffusion, objective)
    if not len(rows) or not (rows.label_smoothing > 0).any():
        return Effect("inconclusive", "There is no student of a smoothed teacher at a raised temperature to judge by.")
    unit, word = unit_of(diffusion), unit_word(diffusion)
    rows = rows.assign(contrast=less_unsmoothed(rows, "difference"))
    values, compared = ["eta_s1", "eta_s2", "difference", "contrast"], (rows.label_smoothing == 0).any()
    smoothed = by_unit(rows[rows.label_smoothing > 0], values, ["label_smoothing", "temperature"], unit=unit)
    if smoothed.groupby(["label_smoothing", "temperature"]).size().min() < FEWEST_SEEDS:
        text = f"Too few {word}s to tell diffusion from chance: train at least three, better six."
        return Effect("inconclusive", text)

    shown_p, opposite_p, contrasts = {}, {}, {}
    for key, part in smoothed.groupby(["label_smoothing", "temperature"]):
        against = part.contrast.dropna() if compared else None
        tests = [part.eta_s1, part.difference] + ([against] if against is not None and len(against) > 1 else [])
        contrasts[key] = against
        shown_p[key] = max(_greater_than_zero(values) for values in tests)
        opposite_p[key] = max(_greater_than_zero(-values) for values in tests)
    shown = _significant(shown_p)
    opposite = _significant(opposite_p)
    if not shown and not opposite:
        return Effect("not shown", _not_shown_sentence(smoothed, contrasts, word))
    sentences = [_shown_sentence(smoothed, shown, contrasts, word)] if shown else []
    sentences += [_opposite_sentence(smoothed, opposite, word)] if opposite else []
    verdict: Verdict = "mixed" if shown and opposite else "shown" if shown else "opposite"
    return Effect(verdict, " ".join(sentences), tuple(shown), tuple(opposite))


def eta_intervals(diffusion: pd.DataFrame, objective: str = "hinton") -> list[dict[str, Any]]:
    """η of the smoothed teachers' students at raised T in its declared form, with 95 % t-intervals over units.

    Returns:
        One mapping per (α, T) and quantity (`eta_s1`, `eta_s2`, `eta_s1-eta_s2`): mean, low, high, n.
    """
    rows = declared(diffusion, objective)
    if not len(rows):
        return []
    quantities = {"eta_s1": "eta_s1", "eta_s2": "eta_s2", "difference": "eta_s1-eta_s2"}
    keys = ["label_smoothing", "temperature"]
    units = by_unit(rows[rows.label_smoothing > 0], list(quantities), keys, unit=unit_of(diffusion))
    found: list[dict[str, Any]] = []
    for setting, part in units.groupby(keys):
        for column, quantity in quantities.items():
            numbers = part[column][np.isfinite(part[column])].to_numpy()
            if len(numbers):
                found.append(
                    dict(zip(keys, setting, strict=True)) | {"quantity": quantity} | asdict(t_interval(numbers))
                )
    return found


def _significant(p_values: dict[AlphaT, float]) -> list[AlphaT]:
    adjusted = holm(list(p_values.values()))
    return [key for key, p in zip(p_values, adjusted, strict=True) if p < SIGNIFICANCE]


def _part(rows: pd.DataFrame, key: AlphaT) -> pd.DataFrame:
    return rows[(rows.label_smoothing == key[0]) & (rows.temperature == key[1])]


def _listing(values: Sequence[float]) -> str:
    texts = [f"{value:g}" for value in values]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"


def _where(rows: pd.DataFrame, settings: Sequence[AlphaT]) -> str:
    """`T = 2 and 64`, or with several smoothed teachers `α = 0.2 (T = 64) and α = 0.3 (T = 2 and 64)`."""
    if rows.label_smoothing.nunique() == 1:
        return f"T = {_listing([temperature for _, temperature in settings])}"
    by_alpha: dict[float, list[float]] = {}
    for alpha, temperature in sorted(settings):
        by_alpha.setdefault(alpha, []).append(temperature)
    texts = [f"α = {alpha:g} (T = {_listing(found)})" for alpha, found in by_alpha.items()]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"


def _shown_sentence(
    rows: pd.DataFrame, shown: Sequence[AlphaT], contrasts: dict[AlphaT, pd.Series | None], word: str
) -> str:
    strongest = max(shown, key=lambda key: _part(rows, key).difference.mean())
    contrast = contrasts[strongest]
    more = ", and more than under the unsmoothed teacher" if contrast is not None and len(contrast) else ""
    return (
        f"Systematic diffusion is shown at {_where(rows, shown)}: students of the smoothed teacher move towards "
        f"similar classes{more}. {_values_at(rows, strongest, word)}"
    )


def _opposite_sentence(rows: pd.DataFrame, opposed: Sequence[AlphaT], word: str) -> str:
    strongest = min(opposed, key=lambda key: _part(rows, key).difference.mean())
    return (
        f"The opposite of systematic diffusion is found at {_where(rows, opposed)}: classes move away from those they "
        f"resemble. {_values_at(rows, strongest, word)}"
    )


def _values_at(rows: pd.DataFrame, key: AlphaT, word: str) -> str:
    """The two means that a verdict rests on, with their 95 % intervals."""
    part = _part(rows, key)
    s1, s2 = (t_interval(values.to_numpy()) for values in (part.eta_s1, part.eta_s2))
    return (
        f"At T = {key[1]:g}, η is {s1.mean:+.3f} ({s1.low:+.3f} to {s1.high:+.3f}) towards similar and {s2.mean:+.3f} "
        f"({s2.low:+.3f} to {s2.high:+.3f}) towards dissimilar classes (α = {key[0]:g}, {s1.n} {word}s)."
    )


def _beside(contrast: pd.Series | None) -> str:
    """What smoothing does change, where the movement itself is not shown: a part of the picture, not the verdict."""
    if contrast is None or len(contrast) < 2:
        return ""
    interval = t_interval(contrast.to_numpy())
    if not interval.low > 0:
        return ""
    return (
        " Yet they stay nearer to similar classes than students of the unsmoothed teacher "
        f"(contrast {interval.mean:+.3f}, {interval.low:+.3f} to {interval.high:+.3f})."
    )


def _not_shown_sentence(rows: pd.DataFrame, contrasts: dict[AlphaT, pd.Series | None], word: str) -> str:
    """Say which of the conditions failed, at the highest temperature: that is where the effect should be largest."""
    key = max(contrasts, key=lambda k: (k[1], k[0]))
    part = _part(rows, key)
    head = f"Your data does not show systematic diffusion. At T = {key[1]:g} (α = {key[0]:g}), "
    for values, text in (
        (part.eta_s1, "classes do not move towards the classes they resemble: η towards similar classes is"),
        (
            part.difference,
            "classes move no further towards similar than towards dissimilar ones: the difference in η is",
        ),
        (
            contrasts[key],
            "students of the smoothed teacher drift no more than those of the unsmoothed one: the contrast is",
        ),
    ):
        if values is not None and len(values) > 1 and not t_interval(values.to_numpy()).low > 0:
            interval = t_interval(values.to_numpy())
            return (
                f"{head}{text} {interval.mean:+.3f} (95 % interval {interval.low:+.3f} to {interval.high:+.3f}, "
                f"{interval.n} {word}s).{_beside(contrasts[key])}"
            )
    return f"{head}the signs agree with it, but not beyond chance once all temperatures are taken into account."
