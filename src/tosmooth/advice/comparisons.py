"""Every setting of a grid against the best one, paired: over seeds, or with one seed over images or sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from tosmooth.advice.units import FEWEST_SEEDS, SIGNIFICANCE, Setting, balanced, by_unit, unit_of, unit_word
from tosmooth.analysis.inference import Interval, holm, t_interval
from tosmooth.tasks.metric import TOP1, Metric

KEY = ["objective", "label_smoothing", "temperature", "student"]
Evidence = Any  # what one student did on the validation split, as the metric's `SampleTest` reads it
Judged = Mapping[str, Evidence]  # by cell


def read_judged(
    folders: Mapping[str, Path], metric: Metric = TOP1, results: pd.DataFrame | None = None
) -> dict[str, Any]:
    """What each cell did on the validation samples, by cell name, for the test of two cells of one seed.

    Cells of which nothing was kept are left out.

    Args:
        folders: by cell name.
        metric: of the study.
        results: one row per cell; those that are compared over seeds are not read, then. None = all are read.

    Raises:
        StudyError: a file is damaged (named).
    """
    if metric.compared_by is None:
        return {}
    if results is not None:
        wanted = set(_of_one_seed(results))
        folders = {name: folder for name, folder in folders.items() if name in wanted}
    found = {name: metric.compared_by.read(folder) for name, folder in folders.items()}
    return {name: own for name, own in found.items() if own is not None}


def _of_one_seed(results: pd.DataFrame) -> list[str]:
    """The finished cells of the student models that have one seed (or teacher seed): seeds say more than samples do."""
    names: list[str] = []
    for _, own in results.groupby("student"):
        done = own[own.status == "done"]
        names += list(done.cell) if done[unit_of(own)].nunique() == 1 else []
    return names


def scores_by_seed(results: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Settings with a finished cell as rows, units (seeds, or teacher seeds) as columns; failed ones are missing."""
    done = balanced(results[results.status == "done"], KEY)
    units = by_unit(done, [metric], KEY, unit=unit_of(results)).rename(columns={"unit": unit_word(results)})
    return units.pivot_table(index=KEY, columns=unit_word(results), values=metric, dropna=False).dropna(how="all")


def compare_with(
    best: Setting,
    scores: pd.DataFrame,
    margin: float,
    judged: Mapping[Setting, Evidence] | None = None,
    metric: Metric = TOP1,
) -> list[dict[str, Any]]:
    """Every other setting against the best.

    With at least two pairs: the paired t-test over seeds. With one pair: the metric's test of two models on the same
    validation samples (`SampleTest`), where it has one. Holm's correction over all settings either way.

    `worse`: the test rejects after the correction. `tied`: the 95 % interval of the difference lies within ± margin.
    `undecided`: neither, or two seeds; a weak test is no proof of equality.

    Args:
        best: the recommended setting.
        scores: settings as rows, seeds as columns, in points of the metric.
        margin: in the same points.
        judged: what the one cell of a setting did on the validation samples.
        metric: what the scores are.

    Returns:
        One mapping per setting: its key, `difference` (how many points it is worse than the best), `low`, `high`, `n`
        (pairs of `unit`), `unit` ("seeds", or what the metric's samples are called), `p`, `p_holm`, `relation`.
    """
    rows = []
    for setting in scores.index:
        pairs = metric.sign * (scores.loc[best] - scores.loc[setting]).dropna().to_numpy()
        found = None
        if len(pairs) == 1 and metric.compared_by is not None and judged and {best, setting} <= set(judged):
            told = metric.compared_by.compare(judged[best], judged[setting])
            found = None if told is None else _row(_behind(told[0], metric), told[1], metric.samples)
        found = found or _over_seeds(pairs)
        if setting == best:
            found["p"] = math.nan
        rows.append(dict(zip(KEY, setting, strict=True)) | found)
    for row, adjusted in zip(rows, holm([row["p"] for row in rows]), strict=True):
        own = tuple(row[key] for key in KEY) == best
        row["p_holm"] = adjusted
        row["relation"] = "best" if own else _relation(row, margin)
    return rows


def _behind(difference: Interval, metric: Metric) -> Interval:
    """How many points the other is worse, from best − other."""
    if not metric.lower_is_better:
        return difference
    return Interval(-difference.mean, -difference.high, -difference.low, difference.n)


def _over_seeds(pairs: NDArray[np.float64]) -> dict[str, Any]:
    interval = t_interval(pairs) if len(pairs) else Interval(math.nan, math.nan, math.nan, 0)
    p = math.nan
    if len(pairs) > 1:
        same = np.ptp(pairs) == 0
        p = float(pairs[0] == 0) if same else float(stats.ttest_1samp(pairs, 0).pvalue)
    return _row(interval, p, "seeds")


def _row(interval: Interval, p: float, unit: str) -> dict[str, Any]:
    return {
        "difference": interval.mean,
        "low": interval.low,
        "high": interval.high,
        "n": interval.n,
        "unit": unit,
        "p": p,
    }


def _relation(row: Mapping[str, Any], margin: float) -> str:
    if row["unit"] == "seeds" and row["n"] < FEWEST_SEEDS:
        return "undecided"
    if row["low"] >= -margin and row["high"] <= margin:
        return "tied"
    return "worse" if row["p_holm"] < SIGNIFICANCE and row["difference"] > 0 else "undecided"
