"""A search replayed on a finished study: what it would have picked, at which cost, without any training.

Every student of the study left its validation figure of each epoch. A search would have seen exactly these, since its
students are the grid's. Resampling the seeds shows how much of a hit is luck.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tosmooth.advice.units import Setting
from tosmooth.search.grid_curves import GridCurves, read_grid_curves
from tosmooth.search.halving import Decision, Rungs, climb, plan_rungs, ranked
from tosmooth.search.record import named
from tosmooth.words.settings import describe

RESAMPLES = 2000
RESAMPLING_SEED = 0


def replay(path: str | Path, budget: float | None = None, eta: float = 3.0) -> dict[str, Any]:
    """Replay a search on a study that has trained its whole grid.

    Args:
        path: the study's folder.
        budget: share of the grid's student-epochs, in (0, 1]; None = 0.4, or the least possible if that is more.
        eta: the best 1/η of a rung go on; above 1.

    Returns:
        The plan as `search.json` has it, with whom each rung kept; `picked` and `grid_winner` (the best by validation
        at the full number of epochs), `hit`, `regret` (validation points that the pick is behind, 0 or more),
        `bootstrap` (None with one seed) and `sentences`.

    Raises:
        StudyError: the folder is no finished study, or it has no validation figures of every epoch.
        ConfigError: the budget or eta is out of its range.
    """
    curves = read_grid_curves(Path(path))
    plan, metric = plan_rungs(len(curves.settings), curves.epochs, eta, budget), curves.metric
    decisions, winner, regret = _compared(plan, curves, _means(curves.scores))
    picked = decisions[-1].kept[0]
    final = dict(zip(curves.settings, _means(curves.scores)[:, -1].tolist(), strict=True))
    found: dict[str, Any] = {
        "study": str(path),
        "metric": metric.val,
        "eta": plan.eta,
        "budget": plan.budget,
        "candidates": [named(setting) for setting in curves.settings],
        "replicates": curves.replicates,
        "rungs": [
            {
                "rung": number,
                "candidates": one.rung.candidates,
                "from_epoch": one.rung.start,
                "to_epoch": one.rung.stop,
                "student_epochs": one.rung.cost * curves.replicates,
                "kept": [named(setting) for setting in one.kept],
            }
            for number, one in enumerate(decisions, 1)
        ],
        "cost": {
            "student_epochs": plan.cost * curves.replicates,
            "full_grid_student_epochs": plan.full_cost * curves.replicates,
            "share": plan.share,
        },
        "picked": named(picked) | {metric.val: final[picked]},
        "grid_winner": named(winner) | {metric.val: final[winner]},
        "hit": picked == winner,
        "regret": regret,
        "bootstrap": _bootstrap(plan, curves),
    }
    return found | {"sentences": _sentences(found, curves)}


def _means(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """(settings, units, epochs) → (settings, epochs); NaN where a setting has no finished student among these units."""
    with np.errstate(invalid="ignore"):
        mean: NDArray[np.float64] = np.nansum(scores, axis=1) / np.isfinite(scores).sum(axis=1)
    return mean


def _compared(plan: Rungs, curves: GridCurves, means: NDArray[np.float64]) -> tuple[list[Decision], Setting, float]:
    """What a search does on these means (settings, epochs), the grid's own winner, and how far the pick is behind."""
    sign = curves.metric.sign
    row = {setting: means[i] for i, setting in enumerate(curves.settings) if np.isfinite(means[i, -1])}

    def judge(number: int, going: Sequence[Setting]) -> dict[Setting, float]:
        column = plan.rungs[number].stop - 1
        return {setting: float(row[setting][column]) for setting in going if setting in row}

    decisions = climb(plan, curves.settings, judge, sign)
    final = {setting: float(curve[-1]) for setting, curve in row.items()}
    winner = ranked(final, sign)[0]
    return decisions, winner, sign * (final[winner] - final[decisions[-1].kept[0]])


def _bootstrap(plan: Rungs, curves: GridCurves) -> dict[str, Any] | None:
    """Share of hits and mean regret over resamples of the units; pick and winner are those of each resample's means."""
    if curves.units < 2:
        return None
    random = np.random.default_rng(RESAMPLING_SEED)
    hits, regrets = [], []
    for _ in range(RESAMPLES):
        means = _means(curves.scores[:, random.integers(0, curves.units, curves.units)])
        if np.isfinite(means[:, -1]).any():
            decisions, winner, regret = _compared(plan, curves, means)
            hits.append(decisions[-1].kept[0] == winner)
            regrets.append(regret)
    return {
        "unit": curves.unit,
        "units": curves.units,
        "resamples": len(hits),
        "random_seed": RESAMPLING_SEED,
        "hit_share": float(np.mean(hits)),
        "regret_mean": float(np.mean(regrets)),
        "regret_95th_percentile": float(np.percentile(regrets, 95)),
    }


def _sentences(found: Mapping[str, Any], curves: GridCurves) -> list[str]:
    varied = [key for key in ("objective", "student") if len({row[key] for row in found["candidates"]}) > 1]
    metric = curves.metric

    def said(row: Mapping[str, Any]) -> str:
        return f"{describe(row, varied)} ({row[metric.val]:.2f}{metric.unit} validation {metric.words})"

    share = f"{100 * found['cost']['share']:.0f} % of the grid's student training"
    if found["hit"]:
        text = f"At {share}, a search would have found the grid's winner by validation: {said(found['picked'])}."
    else:
        text = (
            f"At {share}, a search would have missed the grid's winner by validation: it picks "
            f"{said(found['picked'])} instead of {said(found['grid_winner'])}, {found['regret']:.2f} points behind."
        )
    boot = found["bootstrap"]
    if boot is None:
        return [text, f"With one {curves.unit} nothing can be said about how much of that is chance."]
    return [
        text,
        f"Resampling the {boot['units']} {boot['unit']}s {boot['resamples']} times, it finds the resample's winner in "
        f"{100 * boot['hit_share']:.0f} %, with a mean regret of {boot['regret_mean']:.2f} validation points "
        f"(95th percentile {boot['regret_95th_percentile']:.2f}).",
    ]
