"""Paired differences between cells of a grid, by the unit of inference.

Students of one seed start from the same weights and see the same batches, so two cells of one seed differ by far less
chance than two of different seeds. Differences are taken student by student, and averaged over those of a unit
(`units`) then.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from tosmooth.advice.units import FEWEST_SEEDS
from tosmooth.analysis.inference import holm, t_interval

CELL = ("objective", "student", "label_smoothing", "temperature", "teacher_seed", "seed")  # what tells cells apart


@dataclass(frozen=True)
class Paired:
    """A mean difference over n units, its 95 % t-interval, and the two-sided p of a paired t-test (NaN: too few)."""

    n: int
    mean: float
    low: float
    high: float
    p: float


def less_partner(table: pd.DataFrame, axis: str, partner: object, value: str) -> pd.Series:
    """A value of each cell, less that of the cell that differs from it in `axis` alone, where it has `partner`.

    Args:
        table: one row per cell; the columns of `CELL` that it has tell cells apart.
        axis: for example "label_smoothing".
        partner: the value of `axis` that is compared with, for example 0.
        value: the column.

    Returns:
        One value per row of the table, NaN where there is no partner.
    """
    same = [column for column in CELL if column in table and column != axis]
    partners = table.loc[table[axis] == partner, [*same, value]].rename(columns={value: "partner"})
    found = table[same].merge(partners, on=same, how="left")["partner"].to_numpy(dtype=float)
    return table[value] - found


def over_units(part: pd.DataFrame, value: str, unit: str) -> Paired:
    """The mean of a column over units, with its interval and its p against 0.

    Args:
        part: rows of one setting; missing values are left out.
        value: the column.
        unit: the column of the unit, from `units.unit_of`.
    """
    found = part.groupby(unit)[value].mean().dropna().to_numpy()
    if not len(found):
        return Paired(0, math.nan, math.nan, math.nan, math.nan)
    interval = t_interval(found)
    if len(found) < FEWEST_SEEDS:
        p = math.nan
    elif np.ptp(found) == 0:
        p = float(found[0] == 0)
    else:
        p = float(stats.ttest_1samp(found, 0).pvalue)
    return Paired(interval.n, interval.mean, interval.low, interval.high, p)


def adjusted(p_values: Sequence[float]) -> list[float]:
    """Holm's adjustment; NaN where nothing was tested."""
    return holm(list(p_values)) if len(p_values) else []
