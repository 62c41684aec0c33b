"""The table of learning rates: each setting at the shared one and at its own."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tosmooth.advice.comparisons import KEY
from tosmooth.config.types import nearest_to_one
from tosmooth.report.reading import StudyFiles
from tosmooth.report.results_tables import grid_columns, number_columns
from tosmooth.report.tables import Table, text_column
from tosmooth.tasks.metric import capital
from tosmooth.words.numbers import count_of


def learning_rates_table(files: StudyFiles) -> Table | None:
    """What each learning rate gave in each setting, and what a rate of its own is worth; None where one was tried."""
    trials, metric = files.learning_rates, files.metric
    if trials.empty:
        return None
    trials = trials.fillna({"temperature": 0})  # controls have none, and groups have no place for what is missing
    # A mean over those that have not failed would stand beside means over all seeds.
    means = trials.groupby([*KEY, "learning_rate"])[[metric.val, metric.test]].agg(lambda own: own.mean(skipna=False))
    rates = sorted(trials.learning_rate.unique())
    shared = float(trials.set_index("factor").learning_rate[nearest_to_one(trials.factor)[0]].iloc[0])
    own = trials[trials.own.astype(bool)].drop_duplicates(KEY).set_index(KEY).learning_rate
    rows = pd.DataFrame(index=pd.MultiIndex.from_frame(trials[KEY].drop_duplicates()))
    for rate in rates:
        rows[f"val_{rate:g}"] = means[metric.val].xs(rate, level="learning_rate").reindex(rows.index)
    rows["own"] = own.reindex(rows.index)
    test = means[metric.test]
    rows["test_shared"] = test.xs(shared, level="learning_rate").reindex(rows.index)
    rows["test_own"] = [test.get((*setting, rate), np.nan) for setting, rate in rows.own.items()]
    rows["gain"] = rows.test_own - rows.test_shared
    rows = rows.reset_index()
    columns = [
        *grid_columns(rows),
        *(text_column("student", list(rows.student)) for _ in range(rows.student.nunique() > 1)),
        *number_columns(
            rows,
            [
                *((f"val_{rate:g}", f"validation at {rate:g}", 1, 1) for rate in rates),
                ("own", "own rate", _decimals(rates), 1),
                ("test_shared", f"test at {shared:g}", 1, 1),
                ("test_own", "test at its own", 1, 1),
                ("gain", "own less shared", 1, 1),
            ],
        ),
    ]
    number = trials.seed.nunique()
    seeds = f"first {count_of(number, 'seed')}" if number > 1 else "first seed"
    caption = (
        f"{capital(metric.quantity)} of each setting by its students’ learning rate, means over the {seeds}. The own "
        "rate is the best by validation, of those at which no student failed; test figures had no say. All other "
        "tables and figures are of students at it. "
        f"Without a choice, all would share {shared:g}."
    )
    return Table("learning-rates", caption, columns, rows, sortable=True)


def _decimals(rates: list[float]) -> int:
    """As many as tell the rates apart, and no more than four."""
    return next((d for d in range(4) if len({round(rate, d) for rate in rates} - {0}) == len(rates)), 4)
