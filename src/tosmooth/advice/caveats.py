"""What a reader must know before relying on the advice; the rules are R13 to R24 of `docs/advice.md`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
from tosmooth.words.teachers import UNKNOWN


@dataclass(frozen=True)
class Rules:
    """What the advice depends on."""

    margin: float = 0.5  # points of the metric within which two settings may be called tied
    preview: bool = False
    selection: str = "best"
    metric: Metric = TOP1
    smoothing: Knowledge = "known"  # what is known of the teachers' label smoothing
    training: str = ""  # what students were trained with, as `words.students` says it
    rates: tuple[float, ...] = ()  # the learning rates that settings could have, ascending; empty: not known
    until_sure: Mapping[str, Any] | None = None  # how seeds were added (`study.later_seeds`); None: all are the grid's


def advice_caveats(
    results: pd.DataFrame,
    teachers: pd.DataFrame,
    effect: Effect,
    diffusion: pd.DataFrame,
    rules: Rules,
    best: Setting | None = None,
) -> list[str]:
    """What a reader must know before relying on the advice; `best` is the setting recommended by validation, if any."""
    found = []
    done = results[results.status == "done"]
    seeds, unit = done[unit_of(results)].nunique(), unit_word(results)
    if rules.preview:
        found.append(
            f"Preview: few {rules.metric.samples}, few epochs, few seeds. Run the full study before you decide."
        )
    if seeds < 6:
        found.append(
            f"{seeds} {unit}{'s' * (seeds != 1)}: the exact sign-flip test cannot reach p < 0.05 with fewer than 6."
        )
    if len(done) < len(results):
        found.append(f"{len(results) - len(done)} of {len(results)} students did not finish and are left out.")
    if teachers.groupby("label_smoothing").size().max() == 1:
        found.append("One teacher per α: the conclusion holds for this pair of teachers, not for smoothing in general.")
    if rules.smoothing == "unknown":
        found.append(f"{UNKNOWN[0].upper()}{UNKNOWN[1:]}: where figures and tables say α, read: not known.")
    elif rules.smoothing == "estimated":
        found.append("The teacher's α was estimated by an audit, from its outputs on training images.")
    if "status" in teachers and {"given", "done"} <= set(teachers.status):
        given = ", ".join(
            f"{alpha:g}" for alpha in sorted(teachers[teachers.status == "given"].label_smoothing.unique())
        )
        found.append(
            f"The teachers of α = {given} were given, the others trained here: what sets them apart may be their "
            "training, not their smoothing."
        )
    column = rules.metric.val
    if column in teachers and not teachers[column].isna().all():
        means, sign = scores_by_seed(done, column).mean(axis=1), rules.metric.sign
        if (sign * means).max() >= (sign * teachers[column]).max():
            found.append(
                "The best student is at least as good as the best teacher: a stronger teacher may change the picture."
            )
    if best is not None:
        found += _edges(done, best)
        found += _rates(done, best[3], rules.rates)
    found += convergence_caveats(results, leading_objective(done.objective))
    if not diffusion.empty and not diffusion.reliable.astype(bool).all():
        found.append("Some classes have fewer than 20 samples on a split: η there is unreliable.")
    found += _sensitivity(diffusion, effect, leading_objective(done.objective))
    return found


def _edges(done: pd.DataFrame, best: Setting) -> list[str]:
    """The best value may lie beyond the last one that was tried."""
    found = []
    for name, key, value in (("α", "label_smoothing", best[1]), ("T", "temperature", best[2])):
        if key == "temperature" and not has_temperature(best[0]):
            continue
        tried = sorted(done[key].unique())
        if len(tried) > 1 and value == tried[-1]:
            found.append(f"The best {name} is the largest of the grid ({value:g}): a larger one may be better still.")
    return found


def _rates(done: pd.DataFrame, student: str, rates: tuple[float, ...]) -> list[str]:
    """Settings at one learning rate are compared in how it suits them; the best rate may lie beyond those tried."""
    own = done[done.student == student].groupby(["objective", "label_smoothing", "temperature"])
    if len(own) < 2 or not rates:
        return []
    if len(rates) == 1:
        return [
            f"All settings were trained at one learning rate ({rates[0]:g}), which may suit some of them better than "
            "others: student.learning_rates=[1,3] lets each have its own."
        ]
    chosen, found = own.learning_rate.first(), []
    for rate, which, beyond in ((rates[-1], "largest", "larger"), (rates[0], "smallest", "smaller")):
        at_edge = int(np.isclose(chosen, rate).sum())
        if at_edge:
            found.append(
                f"The best learning rate is the {which} tried ({rate:g}) for {at_edge} of {len(chosen)} settings: a "
                f"{beyond} one may be better still."
            )
    return found


def _sensitivity(diffusion: pd.DataFrame, effect: Effect, objective: str) -> list[str]:
    """Say so when another normalisation or the debiased distance turns the sign of the finding."""
    if diffusion.empty:
        return []
    own = diffusion[(diffusion.objective == objective) & (diffusion.split == "train")]
    turned: list[str] = []
    for settings, sign in ((effect.shown, 1), (effect.opposed, -1)):
        keys = pd.MultiIndex.from_frame(own[["label_smoothing", "temperature"]])
        rows = own[keys.isin(list(settings))]
        means = rows.assign(d=rows.eta_s1 - rows.eta_s2).groupby(["normalisation", "debiased"]).d.mean()
        turned += [
            f"{norm}{', debiased' if debiased else ''}" for (norm, debiased), d in means.items() if d * sign <= 0
        ]
    return (
        [f"The sign of η_S1 − η_S2 depends on how η is computed: it turns with {'; '.join(dict.fromkeys(turned))}."]
        if turned
        else []
    )
