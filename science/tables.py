"""The numbers of docs/science.md, from the tables that studies leave on disk. Nothing here trains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from tosmooth.advice.comparisons import scores_by_seed
from tosmooth.advice.convergence import convergence
from tosmooth.advice.units import unit_of
from tosmooth.analysis.inference import Interval, t_interval

FORMS = [("mean_distance", False), ("mean_distance", True), ("within_spread", False), ("within_spread", True),
         ("none", False), ("none", True)]  # fmt: skip
NAMES = {"mean_distance": "mean distance", "within_spread": "within-class spread", "none": "none"}


def grid(results: pd.DataFrame, metric: str) -> pd.DataFrame:
    """`mean ± half width` over units, α (and objective, where there are several) as rows and T as columns."""
    rows: dict[str, dict[str, str]] = {}
    several = results.objective.nunique() > 1
    for setting, values in scores_by_seed(results, metric).iterrows():
        objective, alpha, temperature, _ = setting
        row = f"{objective}, α = {alpha:g}" if several else f"α = {alpha:g}"
        rows.setdefault(row, {})[f"T = {temperature:g}"] = written(t_interval(values.dropna()), 1)
    return pd.DataFrame(rows).T


def own_rates(trials: pd.DataFrame) -> pd.DataFrame:
    """Test top-1 of the first seeds at every learning rate, the own one (by validation) in bold; α, T as rows."""
    means = trials.pivot_table(index=["label_smoothing", "temperature"], columns="learning_rate", values="test/top1")
    own = trials[trials.own.astype(bool)].groupby(["label_smoothing", "temperature"]).learning_rate.first()
    rows = []
    for (alpha, temperature), values in means.iterrows():
        row = {"α": f"{alpha:g}", "T": f"{temperature:g}"}
        for rate, value in values.items():
            text = f"{value:.1f}"
            row[f"rate {rate:g}"] = f"**{text}**" if rate == own[alpha, temperature] else text
        rows.append(row)
    return pd.DataFrame(rows)


def witnesses(results: pd.DataFrame) -> pd.DataFrame:
    """What stands beside accuracy: the way gone against T₀, errors on similar classes, d′; means over units."""
    done = results[results.status == "done"]
    way = convergence(results).set_index(["label_smoothing", "temperature"]).way_to_reference
    rows = []
    for (alpha, temperature), own in done.groupby(["label_smoothing", "temperature"]):
        errors, apart = own["diffusion/errors_s1"].mean(), own["diffusion/d_prime_s1"].mean()
        rows.append(
            {"α": f"{alpha:g}", "T": f"{temperature:g}", "way gone / T₀": f"{way[alpha, temperature]:.2f}"}
            | {"errors on similar classes, %": f"{errors:.1f}", "d′ to similar classes": f"{apart:.2f}"}
        )
    return pd.DataFrame(rows)


def interactions(advice: Mapping[str, Any]) -> pd.DataFrame:
    """What smoothing adds to the effect of raising T, validation points, as the advice has it."""
    rows = [
        {"α": f"{row['label_smoothing']:g}", "T": f"{row['temperature']:g}"}
        | {"interaction, validation points": f"{row['mean']:+.1f} ({row['low']:+.1f} to {row['high']:+.1f})"}
        | {"trained alike": "yes" if row["alike"] else "no"}
        for row in (advice.get("consequence") or {}).get("rows", [])
    ]
    return pd.DataFrame(rows).map(lambda text: text.replace("-", "−"))


def eta(summary: pd.DataFrame, quantity: str, split: str = "train") -> pd.DataFrame:
    """η in its declared form with its 95 % interval, α as rows and raised T as columns."""
    rows = summary[
        (summary.quantity == quantity)
        & (summary.split == split)
        & (summary.normalisation == "mean_distance")
        & ~summary.debiased.astype(bool)
        & (summary.temperature > 1)
    ]
    found: dict[str, dict[str, str]] = {}
    for row in rows.itertuples():
        text = written(Interval(row.mean, row.low, row.high, row.n), 3, sign=True)
        found.setdefault(f"α = {row.label_smoothing:g}", {})[f"T = {row.temperature:g}"] = text
    return pd.DataFrame(found).T


def eta_against_accuracy(results: pd.DataFrame, diffusion: pd.DataFrame, split: str = "train") -> pd.DataFrame:
    """Does η explain accuracy? Within seeds, the rank correlation over cells of η_S1 − η_S2 with the change in top-1.

    Both are changes from the student of the same teacher and seed at the reference temperature, so that teachers of
    different accuracy do not make a correlation by themselves. The paper's claim is a negative one. Mean and t-interval
    over units (seeds, or teacher seeds where there are several).

    Args:
        results: `results.csv`; validation figures are used.
        diffusion: `analysis/diffusion.csv`.
        split: whose features η was measured on.

    Returns:
        A row per form of η: correlation over all raised cells, over the smoothed teachers' only, and over α at the
        highest T (where T itself cannot be what both depend on).
    """
    diffusion = diffusion.assign(top1=diffusion.cell.map(results.set_index("cell")["val/top1"]))
    keys = [key for key in ("objective", "label_smoothing", "teacher_seed", "seed") if key in diffusion]
    at_reference = diffusion[diffusion.temperature == diffusion.reference_temperature].drop_duplicates("cell")
    reference = at_reference[[*keys, "top1"]].rename(columns={"top1": "before"})
    rows = []
    for normalisation, debiased in FORMS:
        part = diffusion[
            (diffusion.split == split)
            & (diffusion.normalisation == normalisation)
            & (diffusion.debiased.astype(bool) == debiased)
            & (diffusion.temperature > diffusion.reference_temperature)
        ]
        part = part.merge(reference, on=keys, how="left")
        part = part.assign(moved=part.eta_s1 - part.eta_s2, change=part.top1 - part.before)
        highest = part.temperature.max()
        chosen = {
            "all cells": part,
            "smoothed teachers": part[part.label_smoothing > 0],
            f"over α at T = {highest:g}": part[part.temperature == highest],
        }
        row = {"η normalised by": NAMES[normalisation] + (", debiased" if debiased else "")}
        for name, cells in chosen.items():
            found = list(_correlations(cells))
            row[name] = written(t_interval(found), 2, sign=True) if found else "–"
        rows.append(row)
    return pd.DataFrame(rows)


def _correlations(cells: pd.DataFrame) -> Iterator[float]:
    """Spearman's correlation of movement and change within each pair of seeds, averaged over each unit."""
    inner = [key for key in ("teacher_seed", "seed") if key in cells]
    for _, of_unit in cells.groupby(unit_of(cells)):
        found = [
            float(stats.spearmanr(own.moved, own.change).statistic)
            for _, own in of_unit.groupby(inner)
            if len(own) > 2 and own.change.nunique() > 1 and own.moved.nunique() > 1
        ]
        if found:
            yield float(np.mean(found))


def best_temperature(results: pd.DataFrame, advised: Mapping[float, float | None]) -> pd.DataFrame:
    """For each teacher: the T that an audit advised against the best T by validation, and what was lost in test top-1.

    Args:
        results: `results.csv`.
        advised: temperature by α; None where the audit says to choose on validation data.
    """
    done = results[results.status == "done"]
    rows = []
    for alpha, temperature in advised.items():
        own = done[done.label_smoothing == alpha]
        best = own.groupby("temperature")["val/top1"].mean().idxmax()
        lost = "–"
        if temperature is not None:
            table = scores_by_seed(own, "test/top1").droplevel(["objective", "label_smoothing", "student"])
            loss = t_interval((table.loc[best] - table.loc[temperature]).dropna())
            lost = "0" if best == temperature else written(loss, 1, sign=True)
        rows.append(
            {
                "α": f"{alpha:g}",
                "advised T": "by validation" if temperature is None else f"{temperature:g}",
                "best T by validation": f"{best:g}",
                "lost by the advice, test points": lost,
            }
        )
    return pd.DataFrame(rows)


def written(interval: Interval, digits: int, *, sign: bool = False) -> str:
    """`88.0 ± 0.2`, with a true minus sign."""
    mean = f"{interval.mean:{'+' if sign else ''}.{digits}f}"
    half = (interval.high - interval.low) / 2
    return (f"{mean} ± {half:.{digits}f}" if np.isfinite(half) else mean).replace("-", "−")


def as_markdown(table: pd.DataFrame) -> str:
    """A Markdown table; an index with names becomes the first column."""
    if not isinstance(table.index, pd.RangeIndex):
        table = table.rename_axis("").reset_index()
    table = table.fillna("")
    lines = ["| " + " | ".join(table.columns) + " |", "|---" + "|--:" * (len(table.columns) - 1) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row)) + " |" for row in table.to_numpy())])
