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

from tosmooth.advice.units import FEWEST_SEEDS, SIGNIFICANCE, balanced, by_unit, unit_of, unit_word
from tosmooth.analysis.inference import Interval, holm, mcnemar, paired_bootstrap, t_interval
from tosmooth.analysis.translation_metrics import bootstrap_difference
from tosmooth.folder.paths import JUDGED_FILE
from tosmooth.folder.tensors import read_tensors
from tosmooth.folder.translations import Translations, all_translations
from tosmooth.tasks.metric import BLEU, TOP1, Metric

KEY = ["objective", "label_smoothing", "temperature", "student"]
Setting = tuple[str, float, float, str]
# What one student did on the validation split: (N,) 1 = right, 0 = wrong, −1 = not read, by image; or its translations.
Evidence = NDArray[np.int8] | Translations
Judged = Mapping[str, Evidence]  # by cell
FEWEST_SENTENCES = 100  # fewer can agree by accident, and resampling them would call that certain
# The test behind a comparison of two students of one seed, by what they are compared over.
TESTS = {"images": "McNemar's test", "sentences": "paired bootstrap of BLEU"}


def read_judged(
    folders: Mapping[str, Path], metric: Metric = TOP1, results: pd.DataFrame | None = None
) -> dict[str, Any]:
    """Which validation images each cell got right, or how it translated the validation sentences, by cell name.

    Cells without the file are left out.

    Args:
        folders: by cell name.
        metric: of the study.
        results: one row per cell; those that are compared over seeds are not read, then. None = all are read.
    """
    if results is not None:
        wanted = set(_of_one_seed(results))
        folders = {name: folder for name, folder in folders.items() if name in wanted}
    if metric is BLEU:
        return all_translations(folders)
    if metric.name != TOP1.name:  # right or wrong by sample says nothing of another figure
        return {}
    files = {name: folder / JUDGED_FILE for name, folder in folders.items()}
    remedy = "delete it, and it is left out"
    return {name: read_tensors(file, remedy)["val.correct"].numpy() for name, file in files.items() if file.is_file()}


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
    best: Setting, scores: pd.DataFrame, margin: float, judged: Mapping[Setting, Evidence] | None = None
) -> list[dict[str, Any]]:
    """Every other setting against the best.

    With at least two pairs: the paired t-test over seeds. With one pair: McNemar's exact test on the same validation
    images, and a bootstrap of the difference over those images; or, of translations, sacrebleu's paired bootstrap over
    the same sentences. Holm's correction over all settings either way.

    `worse`: the test rejects after the correction. `tied`: the 95 % interval of the difference lies within ± margin.
    `undecided`: neither, or two seeds; a weak test is no proof of equality.

    Args:
        best: the recommended setting.
        scores: settings as rows, seeds as columns, in points of the metric.
        margin: in the same points.
        judged: right (1), wrong (0) or not read (−1) on each validation image, (N,), or the translations of the
            validation sentences, of the settings with one cell.

    Returns:
        One mapping per setting: its key, `difference` (best − setting, points), `low`, `high`, `n` (pairs of `unit`),
        `unit` ("seeds", "images" or "sentences"), `p`, `p_holm`, `relation`.
    """
    rows = []
    for setting in scores.index:
        pairs = (scores.loc[best] - scores.loc[setting]).dropna().to_numpy()
        if len(pairs) == 1 and judged and {best, setting} <= set(judged):
            found = _over_samples(judged[best], judged[setting]) or _over_seeds(pairs)
        else:
            found = _over_seeds(pairs)
        if setting == best:
            found["p"] = math.nan
        rows.append(dict(zip(KEY, setting, strict=True)) | found)
    for row, adjusted in zip(rows, holm([row["p"] for row in rows]), strict=True):
        own = tuple(row[key] for key in KEY) == best
        row["p_holm"] = adjusted
        row["relation"] = "best" if own else _relation(row, margin)
    return rows


def _over_seeds(pairs: NDArray[np.float64]) -> dict[str, Any]:
    interval = t_interval(pairs) if len(pairs) else Interval(math.nan, math.nan, math.nan, 0)
    p = math.nan
    if len(pairs) > 1:
        same = np.ptp(pairs) == 0
        p = float(pairs[0] == 0) if same else float(stats.ttest_1samp(pairs, 0).pvalue)
    return _row(interval, p, "seeds")


def _over_samples(best: Evidence, other: Evidence) -> dict[str, Any] | None:
    if isinstance(best, Translations) or isinstance(other, Translations):
        found = (
            over_sentences(best, other) if isinstance(best, Translations) and isinstance(other, Translations) else None
        )
        return None if found is None else _row(*found, "sentences")
    return _over_images(best, other)


def _over_images(best: NDArray[np.int8], other: NDArray[np.int8]) -> dict[str, Any]:
    both = (best >= 0) & (other >= 0)
    a, b = best[both] == 1, other[both] == 1
    share = paired_bootstrap(a, b)
    return _row(Interval(100 * share.mean, 100 * share.low, 100 * share.high, share.n), mcnemar(a, b), "images")


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


def over_sentences(best: Translations, other: Translations) -> tuple[Interval, float] | None:
    """The difference in BLEU (best − other, points) with its interval over sentences, and p by the paired bootstrap.

    None where they cannot be compared: other sentences, or too few of them.
    """
    if list(best.references) != list(other.references) or len(best.references) < FEWEST_SENTENCES:
        return None
    found = bootstrap_difference(best.statistics, other.statistics)
    return Interval(found.difference, found.low, found.high, found.sentences), found.p
