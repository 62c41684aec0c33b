"""What a study's numbers are over: the student seed, or the teacher seed where there are several; and T₀.

Students of one teacher are not independent evidence about smoothing: they share its accidents. So where a study has
several teacher seeds, the values of a teacher seed are averaged over its student seeds first, and intervals and tests
are over teacher seeds. With one teacher per α the student seed is the unit, and the conclusion is about these teachers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tosmooth.analysis.inference import holm, t_interval

if TYPE_CHECKING:  # plans of studies, for which T₀ is all that is asked, are made without
    import pandas as pd

SIGNIFICANCE = 0.05
FEWEST_SEEDS = 3  # with two, chance agreement makes a t-test certain of anything
# Columns that say which setting a row of a study's tables is about. Tables of older studies lack some of them.
SETTING = (
    "objective", "student", "label_smoothing", "temperature", "split", "normalisation", "debiased", "class_index",
)  # fmt: skip


def reference_temperature(temperatures: Iterable[float]) -> float:
    """T₀: 1 where the grid has it, else its lowest temperature. A T below T₀ is not a raised one."""
    found = sorted(set(temperatures))
    return 1.0 if 1.0 in found else found[0]


def unit_of(table: pd.DataFrame) -> str:
    """The column that holds the unit: "teacher_seed" where the table has several of them, else "seed"."""
    several = "teacher_seed" in table and table["teacher_seed"].nunique() > 1
    return "teacher_seed" if several else "seed"


def unit_word(table: pd.DataFrame) -> str:
    """The unit in words, singular: "teacher seed" or "seed"."""
    return unit_of(table).replace("_", " ")


def by_unit(
    table: pd.DataFrame, values: Sequence[str], keys: Sequence[str] | None = None, *, unit: str | None = None
) -> pd.DataFrame:
    """One row per setting and unit, with the mean of each value over what belongs to the unit.

    Args:
        table: one row per setting, teacher seed and student seed.
        values: columns to average; missing values are left out of the mean.
        keys: columns of the setting; None = those of `SETTING` that the table has.
        unit: column of the unit; None = as `unit_of` finds it. Give it where the table is a part of a larger one.

    Returns:
        The keys, the column "unit", and the values; sorted by keys and unit.
    """
    unit = unit or unit_of(table)
    wanted = [column for column in SETTING if column in table] if keys is None else list(keys)
    named = table.assign(unit=table[unit])
    means: pd.DataFrame = named.groupby([*wanted, "unit"], as_index=False)[list(values)].mean()
    return means


def less_unsmoothed(table: pd.DataFrame, value: str) -> pd.Series:
    """A value of each row, less that of the unsmoothed teacher's student of the same setting and the same two seeds.

    Taken student by student, before anything is averaged: so a student without its partner is left out of both sides.

    Args:
        table: one row per setting, teacher seed and student seed.
        value: the column.

    Returns:
        One value per row of the table, NaN where the partner is missing.
    """
    same = [c for c in (*SETTING, "teacher_seed", "seed") if c in table and c != "label_smoothing"]
    plain = table.loc[table["label_smoothing"] == 0, [*same, value]].rename(columns={value: "unsmoothed"})
    partners = table[same].merge(plain, on=same, how="left")["unsmoothed"].to_numpy()
    return table[value] - partners


def balanced(table: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """The rows of those students that all settings of their teacher seed have, so that means over them stay paired.

    A setting that a teacher seed lacks altogether has no say. Where nothing would be left of a teacher seed, all its
    rows stay. With one teacher seed nothing is averaged, and the table comes back as it is.

    Args:
        table: one row per setting, teacher seed and student seed, finished ones only.
        keys: columns of the setting.
    """
    if unit_of(table) == "seed":
        return table
    import pandas as pd

    parts = []
    for _, own in table.groupby("teacher_seed"):
        counts = own.groupby("seed").size()
        whole = own[own["seed"].isin(counts.index[counts == len(own.drop_duplicates(list(keys)))])]
        parts.append(whole if len(whole) else own)
    return pd.concat(parts)


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
    from scipy import stats

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
