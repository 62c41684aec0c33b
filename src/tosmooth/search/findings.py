"""What a search has found: the winner, what it cost against the whole grid, and what it does not know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tosmooth.advice.comparisons import KEY, compare_with
from tosmooth.advice.units import FEWEST_SEEDS, Setting
from tosmooth.analysis.inference import Interval, t_interval
from tosmooth.search.record import named, score_table, stored_scores
from tosmooth.study.plan import Cell
from tosmooth.study.progress import clock
from tosmooth.tasks.metric import TOP1, Metric
from tosmooth.words.settings import describe, written

MOST_NAMED = 4  # candidates in one sentence


def conclude(
    record: Mapping[str, Any], winner: Setting, cells: Sequence[Cell], margin: float, metric: Metric = TOP1
) -> dict[str, Any]:
    """The winner, the paired differences to it, the cost and the sentences, from a record whose rungs are all done.

    Args:
        record: of the search.
        winner: the candidate that is left.
        cells: of the grid.
        margin: points within which two candidates may be called tied.
        metric: of the study; candidates were judged by what stands for it after each epoch.
    """
    judged_by = metric.judged_by
    last = stored_scores(record["rungs"][-1])
    scores = score_table(last, cells).loc[winner].dropna().to_numpy()
    own = t_interval(scores)
    comparisons = [row for rung in record["rungs"] for row in _dropped(rung, winner, cells, margin, judged_by)]
    cost = dict(record["cost"]) | _seconds(record)
    varied = tuple(key for key in ("objective", "student") if len({getattr(cell, key) for cell in cells}) > 1)
    word = "teacher seed" if len({cell.teacher_seed for cell in cells}) > 1 else "seed"
    figure = f"{written(own, judged_by.unit)} validation {judged_by.words}"
    sentence = f"Best by validation: {describe(named(winner), varied)}, {figure}"
    sentence += f" over {own.n} {word}s." if own.n > 1 else f" (one {word})."
    found = {"mean": own.mean, "low": own.low, "high": own.high, "n": own.n, "cells": list(last[winner])}
    return {
        "winner": named(winner) | found,
        "comparisons": comparisons,
        "cost": cost,
        "sentences": {
            "winner": sentence,
            "cost": cost_sentence(cost),
            "unknown": _unknown(comparisons, own.n, word, varied) + _other_metric(metric),
        },
    }


def _dropped(
    rung: Mapping[str, Any], winner: Setting, cells: Sequence[Cell], margin: float, metric: Metric
) -> list[dict[str, Any]]:
    """Those dropped at the end of a rung, against the winner at that same epoch, paired."""
    by_cell = stored_scores(rung)
    kept = {tuple(row[key] for key in KEY) for row in rung["scores"] if row["kept"]}
    against = {setting: own for setting, own in by_cell.items() if setting == winner or setting not in kept}
    rows = compare_with(winner, score_table(against, cells), margin, metric=metric)
    when = {"rung": rung["rung"], "epochs": rung["to_epoch"]}
    return [when | row for row in rows if row["relation"] != "best"]


def _seconds(record: Mapping[str, Any]) -> dict[str, Any]:
    """Wall time of all rungs, and what the whole grid would take at the pace of the first, where all candidates run."""
    rungs = record["rungs"]
    known = {"teachers_seconds": record["teaching"]["seconds"] if record["teaching"]["timed"] else None}
    if not all(rung["timed"] for rung in rungs):
        return known | {"students_seconds": None, "full_grid_students_seconds": None}
    pace = rungs[0]["seconds"] / rungs[0]["to_epoch"]
    spent = round(sum(rung["seconds"] for rung in rungs), 2)
    return known | {"students_seconds": spent, "full_grid_students_seconds": round(pace * rungs[-1]["to_epoch"], 2)}


def cost_sentence(cost: Mapping[str, Any]) -> str:
    """What the search cost against the whole grid."""
    text = (
        f"It took {100 * cost['share']:.0f} % of the grid's student training "
        f"({cost['student_epochs']} of {cost['full_grid_student_epochs']} student-epochs)"
    )
    if cost.get("students_seconds") is None:
        return text + "; its time is not known, as a run of it was killed."
    return (
        f"{text}: {clock(cost['students_seconds'])}, where the whole grid would take about "
        f"{clock(cost['full_grid_students_seconds'])} at the pace of the first rung. Teachers: as many in both."
    )


def _unknown(comparisons: Sequence[Mapping[str, Any]], number: int, word: str, varied: Sequence[str]) -> list[str]:
    """What the search leaves open, in sentences."""
    found = []
    if number < FEWEST_SEEDS:
        found.append(f"{number} {word}{'s' * (number > 1)} cannot show how much of any difference is chance.")
    else:
        alike = sorted((row for row in comparisons if row["relation"] != "worse"), key=lambda row: row["difference"])
        if alike:
            names = "; ".join(
                f"{describe(row, varied)} ({written(_gap(row))} points behind after epoch {row['epochs']})"
                for row in alike[:MOST_NAMED]
            )
            more = f"; and {len(alike) - MOST_NAMED} more" if len(alike) > MOST_NAMED else ""
            found.append(f"Dropped, but not told apart from the winner by then: {names}{more}.")
        else:
            found.append("Every candidate was worse than the winner beyond chance when it was dropped.")
    found.append(
        "A candidate that learns slowly at first and would have won in the end is lost: learning curves that cross "
        "after a rung are not seen."
    )
    return found


def _other_metric(metric: Metric) -> list[str]:
    """What is left open where candidates are judged by something else than their study is."""
    if metric.judged_by.name == metric.name:
        return []
    return [
        f"Candidates were judged by {metric.judged_by.quantity}: by {metric.quantity}, which is only measured at the "
        "end, another may win."
    ]


def _gap(row: Mapping[str, Any]) -> Interval:
    return Interval(row["difference"], row["low"], row["high"], row["n"])
