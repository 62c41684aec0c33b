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
AT = ["label_smoothing", "temperature"]


# Why nothing is concluded, or which of the three conditions failed.
Reason = Literal["no students", "too few", "similar", "dissimilar", "unsmoothed", "correction"]


@dataclass(frozen=True)
class Effect:
    """The verdict.

    Attributes:
        verdict: "mixed" where some smoothed teachers' students show it and others its opposite.
        unit: what it is over, "seed" or "teacher seed".
        shown: (α, T) at which systematic diffusion is shown.
        opposed: (α, T) at which its opposite is.
        reason: of "inconclusive", "no students" of a smoothed teacher at a raised T, or "too few" units. Of "not
            shown", the condition that failed: "similar" (η_S1 > 0), "dissimilar" (η_S1 − η_S2 > 0), "unsmoothed" (more
            than without smoothing), or "correction": each holds, but not beyond chance after Holm's correction.
        at: (α, T) at which it failed: the highest T, where the effect should be largest.
    """

    verdict: Verdict
    unit: str = "seed"
    shown: tuple[AlphaT, ...] = ()
    opposed: tuple[AlphaT, ...] = ()
    reason: Reason | None = None
    at: AlphaT | None = None

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
    rows, unit, word = declared(diffusion, objective), unit_of(diffusion), unit_word(diffusion)
    if not len(rows) or not (rows.label_smoothing > 0).any():
        return Effect("inconclusive", word, reason="no students")
    units = _by_unit(rows, unit)
    if units.groupby(AT).size().min() < FEWEST_SEEDS:
        return Effect("inconclusive", word, reason="too few")
    tests = {key: _conditions(part) for key, part in units.groupby(AT)}
    shown = _significant({key: max(map(_greater_than_zero, own.values())) for key, own in tests.items()})
    opposed = _significant(
        {key: max(_greater_than_zero(-values) for values in own.values()) for key, own in tests.items()}
    )
    if shown or opposed:
        verdict: Verdict = "mixed" if shown and opposed else "shown" if shown else "opposite"
        return Effect(verdict, word, tuple(shown), tuple(opposed))
    at = max(tests, key=lambda key: (key[1], key[0]))
    failed = (reason for reason, values in tests[at].items() if not t_interval(values.to_numpy()).low > 0)
    return Effect("not shown", word, reason=next(failed, "correction"), at=at)


def eta_intervals(diffusion: pd.DataFrame, objective: str = "hinton") -> list[dict[str, Any]]:
    """η of the smoothed teachers' students at raised T in its declared form, with 95 % t-intervals over units.

    Returns:
        One mapping per (α, T) and quantity (`eta_s1`, `eta_s2`, `eta_s1-eta_s2`, and `contrast`: the third less that
        of the unsmoothed teacher's students, where there are any): mean, low, high, n.
    """
    rows = declared(diffusion, objective)
    if not len(rows):
        return []
    quantities = {"eta_s1": "eta_s1", "eta_s2": "eta_s2", "difference": "eta_s1-eta_s2", "contrast": "contrast"}
    found: list[dict[str, Any]] = []
    for setting, part in _by_unit(rows, unit_of(diffusion)).groupby(AT):
        for column, quantity in quantities.items():
            numbers = part[column][np.isfinite(part[column])].to_numpy()
            if len(numbers):
                found.append(dict(zip(AT, setting, strict=True)) | {"quantity": quantity} | asdict(t_interval(numbers)))
    return found


def _by_unit(rows: pd.DataFrame, unit: str) -> pd.DataFrame:
    """What the smoothed teachers' students have at each (α, T), a row per unit."""
    contrasted = rows.assign(contrast=less_unsmoothed(rows, "difference"))
    return by_unit(contrasted[rows.label_smoothing > 0], ["eta_s1", "eta_s2", "difference", "contrast"], AT, unit=unit)


def _conditions(part: pd.DataFrame) -> dict[Reason, pd.Series]:
    """What has to be above 0 at one (α, T), a value per unit; the unsmoothed teacher has a say with two partners."""
    found: dict[Reason, pd.Series] = {"similar": part.eta_s1, "dissimilar": part.difference}
    contrast = part.contrast.dropna()
    return found | ({"unsmoothed": contrast} if len(contrast) > 1 else {})


def _significant(p_values: dict[AlphaT, float]) -> list[AlphaT]:
    adjusted = holm(list(p_values.values()))
    return [key for key, p in zip(p_values, adjusted, strict=True) if p < SIGNIFICANCE]
