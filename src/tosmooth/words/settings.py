"""Settings, and figures with their intervals, as sentences of the advice name them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from tosmooth.analysis.inference import Interval
from tosmooth.config.types import Knowledge
from tosmooth.losses.objectives import has_temperature
from tosmooth.words.numbers import decimals_for, half_width, plus_minus
from tosmooth.words.teachers import which_teacher

SEQUENCE_WORDS = "sequence-level distillation"


def describe(setting: Mapping[str, Any], varied: Collection[str] = (), smoothing: Knowledge = "known") -> str:
    """`the smoothed teacher (α = 0.1) at T = 1`; with "objective" or "student" among the varied keys, these as well.

    Sequence-level distillation is named in any case, and has no T.
    """
    return f"{which_teacher(setting['label_smoothing'], smoothing)} {describe_distillation(setting, varied)}"


def describe_distillation(
    setting: Mapping[str, Any], varied: Collection[str] = (), rates: Collection[float] = ()
) -> str:
    """`at T = 1`, and what else varies: the same without its teacher; the learning rate where there are several."""
    into = f"into {setting['student']} " if "student" in varied else ""
    rate = f", learning rate {setting['learning_rate']:g}" if len(rates) > 1 and "learning_rate" in setting else ""
    if not has_temperature(setting.get("objective")):
        return f"{into}by {SEQUENCE_WORDS}{rate}"
    how = f" with {setting['objective']}" if "objective" in varied else ""
    return f"{into}at T = {setting['temperature']:g}{how}{rate}"


def describe_with_rate(
    chosen: Mapping[str, Any], varied: Collection[str], smoothing: Knowledge, rates: Collection[float]
) -> str:
    """The recommended setting, with its learning rate where it could have had others of `rates`."""
    return f"{which_teacher(chosen['label_smoothing'], smoothing)} {describe_distillation(chosen, varied, rates)}"


def varied_keys(results: pd.DataFrame) -> tuple[str, ...]:
    """Which of objective and student take more than one value in a study, and so belong into its sentences."""
    return tuple(key for key in ("objective", "student") if results[key].nunique() > 1)


def written(interval: Interval, unit: str = "") -> str:
    """`88.0 ± 0.2`: one decimal, or two where the half-width supports them; without an interval, the value alone."""
    return plus_minus(interval, decimals_for([half_width(interval)], otherwise=1, least=1, most=2)) + unit
