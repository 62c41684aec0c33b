"""Each setting at its own learning rate, chosen by validation on the first seeds and then kept.

T² does not make steps equal (see `advice.convergence`), so a rate that suits one setting starves another: settings that
are compared at one rate are compared in how well it suits them. What a choice costs is the other rates' students of the
first seeds. The test split has no say in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from tosmooth.advice.units import Setting
from tosmooth.config.schema import StudyConfig
from tosmooth.config.types import nearest_to_one
from tosmooth.folder.paths import StudyDirectory
from tosmooth.folder.writing import read_record
from tosmooth.study.plan import Cell, Plan
from tosmooth.tasks.base import StudyData
from tosmooth.tasks.metric import Metric

Record = Mapping[str, Any]


def choosable(config: StudyConfig, data: StudyData, note: Callable[[str], object]) -> StudyConfig:
    """The configuration; with one learning rate, and a note, where nothing may choose between several."""
    student = config.student
    if len(student.learning_rates) == 1 or (len(data.validation) and config.selection != "best_on_test"):
        return config
    rate = student.peak_rate(student.shared_rate)
    note(f"student.learning_rates: no validation split may choose between them, so all settings have {rate:g}")
    one = student.model_copy(update={"learning_rates": [student.shared_rate]})
    return config.model_copy(update={"student": one})


def own_rates(plan: Plan, record_of: Callable[[Cell], Record | None], metric: Metric) -> dict[Setting, float]:
    """The learning rate of each setting, of those whose trials have ended.

    That of the best mean over the first seeds; of equals, the one nearest to the recipe's. A rate at which a student
    failed is not chosen, unless one did at every rate: then the recipe's (or the nearest to it) stays.

    Args:
        plan: of the study.
        record_of: the record of a student that has ended.
        metric: whose validation figures choose.

    Returns:
        Factors by setting; nothing of a setting that has no rate whose trials have all ended.
    """
    trials: dict[Setting, dict[float, list[float]]] = {}
    waiting = set()
    for cell in (cell for group in plan.trials for cell in group):
        record = record_of(cell)
        if record is None:
            waiting.add((cell.setting, cell.rate))
        value = (record or {}).get(metric.val)
        known = isinstance(value, int | float) and math.isfinite(value)
        scores = trials.setdefault(cell.setting, {}).setdefault(cell.rate, [])
        scores.append(metric.sign * float(value) if known else -math.inf)  # type: ignore[arg-type]
    chosen = {}
    for setting, found in trials.items():
        if ended := nearest_to_one(rate for rate in found if (setting, rate) not in waiting):
            chosen[setting] = max(ended, key=lambda rate: float(np.mean(found[rate])))  # the first of equals
    return chosen


def settled(plan: Plan, directory: StudyDirectory, metric: Metric) -> Plan:
    """The plan with each setting at its own learning rate, as far as the study's folder knows it.

    Before all trials have ended, another rate may still win.

    A pure function of the records of the trials: a study that goes on, or grows, comes to the same choice.

    Raises:
        StudyError: a record is damaged.
    """
    if not plan.trials:
        return plan
    return plan.at_rates(own_rates(plan, lambda cell: read_record(directory.student(cell.name)), metric))


def trial_table(
    plan: Plan, record_of: Callable[[Cell], Record | None], peak_rate: Callable[[float], float], metric: Metric
) -> pd.DataFrame:
    """One row per student of the first seeds, at every learning rate.

    Args:
        plan: settled.
        record_of: the record of a student that has ended.
        peak_rate: from a factor to the learning rate.
        metric: of the study.

    Returns:
        `cell`, who it is, `learning_rate` (its peak), `factor` (of the recipe's), `own` (whether it is the one of its
        setting), `status`, and the metric on validation and test.
    """
    kept, rows = set(plan.kept), []
    for cell in (cell for group in plan.trials for cell in group):
        record = record_of(cell) or {"status": "missing"}
        rows.append(
            cell.columns
            | {"learning_rate": peak_rate(cell.rate), "factor": cell.rate, "own": cell in kept}
            | {column: record.get(column) for column in ("status", metric.val, metric.test)}
        )
    return pd.DataFrame(rows)
