"""Every setting of a grid against the best one, paired: over seeds, or with one seed over images or sentences."""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tosmooth.advice.units import SIGNIFICANCE, Setting, balanced, by_unit, unit_of, unit_word
from tosmooth.analysis.inference import Interval, holm, t_interval
from tosmooth.analysis.multiple_comparison import Comparison, compare_settings
from tosmooth.tasks.metric import TOP1, Metric

KEY = ["objective", "label_smoothing", "temperature", "student"]
Evidence = Any  # what one student did on the validation split, as the metric's `SampleTest` reads it
Judged = Mapping[str, Evidence]  # by cell
CONTROL: Setting = ("control", math.nan, math.nan, "")  # the best student without a teacher, beside the settings
NOTHING = Interval(math.nan, math.nan, math.nan, 0)


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
    images: NDArray[np.float64] | None = None,
    *,
    confidence: float = 0.95,
    out: Collection[Setting] = (),
) -> list[dict[str, Any]]:
    """Every other setting against the best.

    With several units: multiple comparisons with the best on the error that all settings share (`compare_settings`).
    With one: the metric's test of two models on the same validation samples (`SampleTest`), where it has one, with
    Holm's correction over all settings.

    `worse`: not among the settings that may be the best one; of one unit, the test rejects after the correction.
    `tied`: as good as the best within the margin, in simultaneous confidence; of one unit, the 95 % interval of the
    difference lies within ± margin. `undecided`: neither; a weak test is no proof of equality.

    Args:
        best: the recommended setting.
        scores: settings as rows, units (seeds, or teacher seeds, by the name of the columns) as columns, in points.
        margin: in the same points.
        judged: what the one cell of a setting did on the validation samples.
        metric: what the scores are.
        images: what the sample of images adds to the variance of each difference, for `compare_settings`.
        confidence: for `compare_settings`.
        out: settings that have left the set at an earlier look: they stay behind.

    Returns:
        One mapping per setting: its key, `difference` (how many points it is worse than the best), `low`, `high`, `n`
        (pairs of `unit`), `unit` ("seeds", or what the metric's samples are called), `p` (of this one difference),
        `p_holm` (of one unit), `relation`.
    """
    comparison = compared(scores, margin, metric, images, confidence)
    rows = []
    for place, setting in enumerate(scores.index):
        pairs = metric.sign * (scores.loc[best] - scores.loc[setting]).dropna().to_numpy()
        found = None
        if comparison is not None:
            found = _over_units(comparison, scores.index.get_loc(best), place, len(pairs), metric)
        elif len(pairs) == 1 and metric.compared_by is not None and judged and {best, setting} <= set(judged):
            told = metric.compared_by.compare(judged[best], judged[setting])
            found = None if told is None else _row(_behind(told[0], metric), told[1], metric.samples)
        found = found or _row(t_interval(pairs) if len(pairs) else NOTHING, math.nan, "seeds")
        if setting == best:
            found["p"] = math.nan
        rows.append(dict(zip(KEY, setting, strict=True)) | found)
    corrected = [math.nan] * len(rows) if comparison is not None else holm([row["p"] for row in rows])
    for place, (row, adjusted) in enumerate(zip(rows, corrected, strict=True)):
        row["p_holm"] = adjusted
        if tuple(row[key] for key in KEY) == best:
            row["relation"] = "best"
        elif tuple(row[key] for key in KEY) in out:
            row["relation"] = "worse"
        else:
            row["relation"] = _of_one(row, margin) if comparison is None else relation(place, comparison)
    return rows


def compared(
    scores: pd.DataFrame,
    margin: float,
    metric: Metric = TOP1,
    images: NDArray[np.float64] | None = None,
    confidence: float = 0.95,
) -> Comparison | None:
    """The settings (rows) against the best of the others over units (columns); columns of the result are places.

    Between teachers of different α the error is that between teacher seeds, where these are the units; `CONTROL` stands
    apart from all of them. None where nothing says how much is chance: one setting, one unit, or no two settings with
    two units in common.
    """
    if len(scores) < 2 or scores.shape[1] < 2:
        return None
    of_teachers = scores.columns.name == "teacher seed"
    plots: dict[Hashable, Hashable] = {
        place: setting[1] if setting[0] != CONTROL[0] else CONTROL[0] for place, setting in enumerate(scores.index)
    }
    table = pd.DataFrame(scores.to_numpy().T, columns=range(len(scores)))
    try:
        return compare_settings(
            table,
            plots=plots if of_teachers else None,
            margin=margin,
            confidence=confidence,
            image_variance=images,
            higher_is_better=not metric.lower_is_better,
        )
    except ValueError:
        return None


def relation(place: int, comparison: Comparison) -> str:
    """ "tied" with the best, "worse" than it, or "undecided"."""
    if place in comparison.equivalent:
        return "tied"
    return "undecided" if place in comparison.could_be_best else "worse"


def _over_units(comparison: Comparison, best: int, place: int, pairs: int, metric: Metric) -> dict[str, Any]:
    if place == best:
        return _row(Interval(0.0, 0.0, 0.0, pairs), math.nan, "seeds")
    gap = comparison.difference(best, place)
    low, high = sorted((metric.sign * gap.low, metric.sign * gap.high))
    return _row(Interval(metric.sign * gap.mean, low, high, pairs), gap.p, "seeds")


def _behind(difference: Interval, metric: Metric) -> Interval:
    """How many points the other is worse, from best − other."""
    if not metric.lower_is_better:
        return difference
    return Interval(-difference.mean, -difference.high, -difference.low, difference.n)


def _row(interval: Interval, p: float, unit: str) -> dict[str, Any]:
    return {
        "difference": interval.mean,
        "low": interval.low,
        "high": interval.high,
        "n": interval.n,
        "unit": unit,
        "p": p,
    }


def _of_one(row: Mapping[str, Any], margin: float) -> str:
    """The relation by the samples of the one unit; without them nothing is decided."""
    if row["unit"] == "seeds":
        return "undecided"
    if row["low"] >= -margin and row["high"] <= margin:
        return "tied"
    return "worse" if row["p_holm"] < SIGNIFICANCE and row["difference"] > 0 else "undecided"
