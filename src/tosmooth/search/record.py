"""What a search writes: `search.json`, whole after every rung, and `search.csv`, one row per candidate and rung."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from tosmooth.advice.comparisons import KEY, scores_by_seed
from tosmooth.advice.units import Setting
from tosmooth.errors import StudyError
from tosmooth.folder.paths import SEARCH_FILE, SEARCH_TABLE_FILE
from tosmooth.folder.writing import load_json, write_csv, write_json
from tosmooth.search.halving import Rungs
from tosmooth.study.plan import Cell
from tosmooth.tasks.metric import TOP1, Metric

REMEDY = "delete it, and the same command makes it again"


def named(setting: Setting) -> dict[str, Any]:
    """A setting as a mapping, as the files hold it."""
    return dict(zip(KEY, setting, strict=True))


def candidates_of(cells: Iterable[Cell]) -> dict[Setting, list[Cell]]:
    """The candidates of a grid in its order, each with its replicates."""
    found: dict[Setting, list[Cell]] = {}
    for cell in cells:
        found.setdefault(cell.setting, []).append(cell)
    return found


def new_record(plan: Rungs, cells: Sequence[Cell], name: str, selection: str, metric: Metric = TOP1) -> dict[str, Any]:
    """The record of a search that has done nothing yet; `metric` is that of the study.

    Keys that the search fills later: of each rung `status`, `seconds`, `scores`; `winner`, `comparisons`, `sentences`,
    `cost.seconds`, `test`.
    """
    candidates = candidates_of(cells)
    replicates = len(cells) // len(candidates)
    return {
        "study": name,
        "metric": metric.judged_by.val,  # what candidates are judged by
        "selection": selection,
        "eta": plan.eta,
        "budget": plan.budget,
        "candidates": [named(setting) | {"cells": [c.name for c in own]} for setting, own in candidates.items()],
        "replicates": replicates,
        "rungs": [
            {
                "rung": number,
                "candidates": rung.candidates,
                "from_epoch": rung.start,
                "to_epoch": rung.stop,
                "student_epochs": rung.cost * replicates,
                "status": "planned",
            }
            for number, rung in enumerate(plan.rungs, 1)
        ],
        "cost": {
            "student_epochs": plan.cost * replicates,
            "full_grid_student_epochs": plan.full_cost * replicates,
            "share": plan.share,
        },
    }


def begun_before(path: Path, fresh: Mapping[str, Any]) -> dict[str, Any]:
    """The record of this very search as far as it has come; `fresh` where it has not begun.

    Raises:
        StudyError: the file is of another search, or damaged.
    """
    if not path.is_file():
        return dict(fresh)
    there = load_json(path, dict, REMEDY)
    if [there.get(key) for key in ("eta", "budget")] != [fresh["eta"], fresh["budget"]]:
        raise StudyError(
            f"{path.parent} holds a search with --budget {_number(there.get('budget'))} "
            f"--eta {_number(there.get('eta'))}; go on with these, or give this one its own name (name=…)"
        )
    if any(there.get(key) != fresh[key] for key in ("candidates", "metric", "selection")):
        raise StudyError(
            f"{path.parent} holds a search over another grid; a search cannot grow. Give this one its own name (name=…)"
        )
    _check_rungs(path, there.get("rungs"), fresh["rungs"])
    return there


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) else "?"


def _check_rungs(path: Path, there: Any, fresh: Sequence[Mapping[str, Any]]) -> None:
    """Raises StudyError unless the rungs are those planned, and the finished ones have their scores."""
    planned = ("rung", "candidates", "from_epoch", "to_epoch", "student_epochs")
    sound = isinstance(there, list) and len(there) == len(fresh)
    for own, expected in zip(there if sound else [], fresh, strict=False):
        sound = sound and isinstance(own, dict) and all(own.get(key) == expected[key] for key in planned)
        sound = sound and (own.get("status") != "done" or _has_scores(own.get("scores")))
    if not sound:
        raise StudyError(f"{path} is damaged; {REMEDY}")


def _has_scores(scores: Any) -> bool:
    return isinstance(scores, list) and all(
        isinstance(row, dict)
        and all(key in row for key in (*KEY, "kept"))
        and isinstance(row.get("mean"), int | float)
        and isinstance(row.get("by_cell"), dict)
        and all(isinstance(value, int | float) for value in row["by_cell"].values())
        for row in scores
    )


def stored_scores(rung: Mapping[str, Any]) -> dict[Setting, dict[str, float]]:
    """Scores of a finished rung: by candidate, and there by cell."""
    return {_key(row): row["by_cell"] for row in rung["scores"]}


def stored_means(rung: Mapping[str, Any]) -> dict[Setting, float]:
    """What the candidates of a finished rung were judged by."""
    return {_key(row): float(row["mean"]) for row in rung["scores"]}


def _key(row: Mapping[str, Any]) -> Setting:
    return tuple(row[key] for key in KEY)  # type: ignore[return-value]


def score_table(by_cell: Mapping[Setting, Mapping[str, float]], cells: Iterable[Cell]) -> pd.DataFrame:
    """Scores as the advice of a study has them: settings as rows, seeds (or teacher seeds) as columns."""
    known = {cell.name: cell for cell in cells}
    rows = [
        named(setting)
        | {"teacher_seed": known[name].teacher_seed, "seed": known[name].seed, "status": "done", "score": score}
        for setting, scores in by_cell.items()
        for name, score in scores.items()
    ]
    return scores_by_seed(pd.DataFrame(rows), "score")


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write `search.json` and `search.csv`."""
    rows, metric = [], record["metric"]
    for rung in record["rungs"]:
        for rank, row in enumerate(rung.get("scores", []), 1):
            told = {key: row[key] for key in KEY}
            rows.append(
                {"rung": rung["rung"], "epochs": rung["to_epoch"], **told, metric: row["mean"]}
                | {"students": len(row["by_cell"]), "rank": rank, "kept": row["kept"]}
            )
    columns = ["rung", "epochs", *KEY, metric, "students", "rank", "kept"]
    write_csv(folder / SEARCH_TABLE_FILE, pd.DataFrame(rows, columns=columns))
    write_json(folder / SEARCH_FILE, record)
