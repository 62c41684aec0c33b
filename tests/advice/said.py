"""What an advice says, as a reader gets it."""

from __future__ import annotations

from typing import Any

import pandas as pd

from tosmooth.advice.advise import answer_of, conclude
from tosmooth.tasks.metric import TOP1, Metric
from tosmooth.words.answer import forwarded
from tosmooth.words.wording import wording_of


def said(advice: dict[str, Any], results: pd.DataFrame, metric: Metric = TOP1) -> str:
    """The headline before the test split was read."""
    facts = answer_of(advice, None, results, pd.DataFrame(), metric)
    assert facts is not None
    return forwarded(facts, wording_of(advice, results, metric))


def said_on_test(advice: dict[str, Any], results: pd.DataFrame, metric: Metric = TOP1) -> str:
    """The headline after it was."""
    facts = conclude(advice, results, pd.DataFrame(), preview=False, metric=metric)["answer"]
    return forwarded(facts, wording_of(advice, results, metric))
