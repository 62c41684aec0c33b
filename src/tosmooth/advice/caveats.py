"""What a reader must know before relying on the advice; the rules are R13 to R24 of `docs/advice.md`.

A caveat is a code with the numbers that its sentence needs (`words/caveats.py` has the sentences).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from tosmooth.advice.comparisons import scores_by_seed
from tosmooth.advice.convergence import convergence_caveats
from tosmooth.advice.effect import Effect
from tosmooth.advice.units import Setting, unit_of, unit_word
from tosmooth.config.types import Knowledge
from tosmooth.losses.objectives import has_temperature, leading_objective
from tosmooth.tasks.metric import TOP1, Metric

Caveat = dict[str, Any]  # "code", and numbers
SIGN_FLIP_SEEDS = 6  # 2 / 2**6 = 0.03 is the first exact two-sided p below 0.05


@dataclass(frozen=True)
class Rules:
    """What the advice depends on."""

    margin: float = 0.5  # points of the metric within which two settings may be called tied
    preview: bool = False
    selection: str = "best"
    metric: Metric = TOP1
    smoothing: Knowledge = "known"  # what is known of the teachers' label smoothing
    training: Mapping[str, Any] = field(default_factory=dict)  # of the students: "optimizer" and "epochs"
    rates: tuple[float, ...] = ()  # the learning rates that settings could have, ascending; empty: not known
    until_sure: Mapping[str, Any] | None = None  # how seeds were added (`study.later_seeds`); None: all are the grid's


def study_caveats(
    results: pd.DataFrame,
    teachers: pd.DataFrame,
    diffusion: pd.DataFrame,
    *,
    preview: bool,
    selection: str,
    metric: Metric,
) -> list[Caveat]:
    """What a study's tables show by themselves, advised or not.

    Args:
        results: one row per cell, as in `results.csv`.
        teachers: one row per teacher; may be empty.
        diffusion: `analysis/diffusion.csv`; may be empty.
        preview: whether the study is too short to conclude from.
        selection: how epochs were chosen.
        metric: of the study.
    """
    found: list[Caveat] = []
    done = results[results.status == "done"]
    units, unit = int(done[unit_of(results)].nunique()), unit_word(results)
    if selection == "best_on_test":
        found.append({"code": "chosen on test"})
    elif metric.val not in results or results[metric.val].isna().all():
        found.append({"code": "no validation"})
    if preview:
        found.append({"code": "preview"})
    if units == 1:
        found.append({"code": "one seed", "unit": unit})
    elif 1 < units < SIGN_FLIP_SEEDS:
        found.append({"code": "few seeds", "units": units, "unit": unit})
    if len(done) < len(results):
        found.append({"code": "not finished", "students": len(results) - len(done), "of": len(results)})
    if "label_smoothing" in teachers and teachers.groupby("label_smoothing").size().max() == 1:
        found.append({"code": "one teacher"})
    if "reliable" in diffusion and not diffusion.reliable.astype(bool).all():
        found.append({"code": "few samples"})
    return found


def advice_caveats(
    results: pd.DataFrame,
    teachers: pd.DataFrame,
    effect: Effect,
    diffusion: pd.DataFrame,
    rules: Rules,
    best: Setting | None = None,
) -> list[Caveat]:
    """All caveats of an advice; `best` is the setting recommended by validation, if any."""
    done = results[results.status == "done"]
    objective = leading_objective(done.objective)
    found = study_caveats(
        results, teachers, diffusion, preview=rules.preview, selection=rules.selection, metric=rules.metric
    )
    if rules.smoothing != "known":
        found.append({"code": f"smoothing {rules.smoothing}"})
    if "status" in teachers and {"given", "done"} <= set(teachers.status):
        given = sorted(teachers[teachers.status == "given"].label_smoothing.unique())
        found.append({"code": "given teachers", "label_smoothing": [float(alpha) for alpha in given]})
    column = rules.metric.val
    if column in teachers and not teachers[column].isna().all():
        means, sign = scores_by_seed(done, column).mean(axis=1), rules.metric.sign
        if (sign * means).max() >= (sign * teachers[column]).max():
            found.append({"code": "as good as its teacher"})
    if best is not None:
        found += _edges(done, best)
        found += _rates(done, best[3], rules.rates)
    found += convergence_caveats(results, objective)
    return found + _sensitivity(diffusion, effect, objective)


def _edges(done: pd.DataFrame, best: Setting) -> list[Caveat]:
    """The best value may lie beyond the last one that was tried."""
    found = []
    for key, value in (("label_smoothing", best[1]), ("temperature", best[2])):
        if key == "temperature" and not has_temperature(best[0]):
            continue
        tried = sorted(done[key].unique())
        if len(tried) > 1 and value == tried[-1]:
            found.append({"code": f"largest {key}", "value": float(value)})
    return found


def _rates(done: pd.DataFrame, student: str, rates: tuple[float, ...]) -> list[Caveat]:
    """Settings at one learning rate are compared in how it suits them; the best rate may lie beyond those tried."""
    own = done[done.student == student].groupby(["objective", "label_smoothing", "temperature"])
    if len(own) < 2 or not rates:
        return []
    if len(rates) == 1:
        return [{"code": "one learning rate", "learning_rate": rates[0]}]
    chosen = own.learning_rate.first()
    found = []
    for rate, which in ((rates[-1], "largest"), (rates[0], "smallest")):
        if at_edge := int(np.isclose(chosen, rate).sum()):
            found.append(
                {"code": f"{which} learning rate", "learning_rate": rate, "settings": at_edge, "of": len(chosen)}
            )
    return found


def _sensitivity(diffusion: pd.DataFrame, effect: Effect, objective: str) -> list[Caveat]:
    """Say so when another normalisation or the debiased distance turns the sign of the finding."""
    if diffusion.empty:
        return []
    own = diffusion[(diffusion.objective == objective) & (diffusion.split == "train")]
    turned: list[tuple[str, bool]] = []
    for settings, sign in ((effect.shown, 1), (effect.opposed, -1)):
        keys = pd.MultiIndex.from_frame(own[["label_smoothing", "temperature"]])
        rows = own[keys.isin(list(settings))]
        means = rows.assign(d=rows.eta_s1 - rows.eta_s2).groupby(["normalisation", "debiased"]).d.mean()
        turned += [(str(norm), bool(debiased)) for (norm, debiased), d in means.items() if d * sign <= 0]
    forms = [{"normalisation": norm, "debiased": debiased} for norm, debiased in dict.fromkeys(turned)]
    return [{"code": "sign of eta", "forms": forms}] if forms else []
