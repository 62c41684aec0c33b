"""What a study's numbers are over: the student seed, or the teacher seed where there are several; and T₀.

Students of one teacher are not independent evidence about smoothing: they share its accidents. So where a study has
several teacher seeds, the values of a teacher seed are averaged over its student seeds first, and intervals and tests
are over teacher seeds. With one teacher per α the student seed is the unit, and the conclusion is about these teachers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # plans of studies, for which T₀ is all that is asked, are made without
    import pandas as pd

SIGNIFICANCE = 0.05
FEWEST_SEEDS = 3  # with two, chance agreement makes a t-test certain of anything
Setting = tuple[str, float, float, str]  # objective, α, T, student model: what is compared over units
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
