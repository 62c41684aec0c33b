"""Until sure: after every few seeds, which settings are still worth a student, and whether there is need of more.

A look is at validation alone. Looks share the error rate (`spent_confidence`): all together keep 95 %. A setting that
has left the set that may be best never comes back; its students are trained on only where the best of the other side
has nobody else to be compared with. The rules are R26 of docs/advice.md.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from tosmooth.advice.answer import answer
from tosmooth.advice.blocks import Blocks, Correct
from tosmooth.advice.comparisons import KEY
from tosmooth.advice.units import Setting
from tosmooth.analysis.more_blocks import seeds_needed, spent_confidence
from tosmooth.analysis.multiple_comparison import Comparison
from tosmooth.config.types import Knowledge
from tosmooth.tasks.metric import Metric

GROWTH = 3  # between two looks, seeds grow by a third
ALL = 1_000_000  # seeds: nobody has more
SUREST = 1 - 1e-12  # of many looks, the first has less than a number can hold
# Why no more seeds are added. The first four are found in the figures, the last two are given from outside.
REASONS = ("sure", "as good", "samples", "training", "budget", "seeds")


@dataclass(frozen=True)
class Look:
    """What was seen at one look.

    Attributes:
        left: settings that may still be the best one, in the order of the grid.
        reason: why no more seeds are needed, one of `REASONS`; None: they are.
        confidence: of the answer, if it is given now.
    """

    left: tuple[Setting, ...]
    reason: str | None
    confidence: float


def looks_at(first: int, at_most: int) -> list[int]:
    """After how many seeds one looks: at first, then whenever they have grown by a third, and at the end.

    Args:
        first: seeds that all settings get, ≥ 2.
        at_most: seeds in all, ≥ `first`.
    """
    found = [first]
    while found[-1] < at_most:
        found.append(min(at_most, found[-1] - (-found[-1] // GROWTH)))
    return found


def confidence_of(looks: int, number: int, *, last: bool = False) -> float:
    """The confidence of a look, so that all of them together keep 95 %.

    Args:
        looks: how many are planned.
        number: which one this is, from 1.
        last: whether it is the last one by the number of seeds: then it has all that earlier looks have left over. One
            that a budget ends has its own share: with a larger budget the looks go on.
    """
    if not last:
        return min(SUREST, spent_confidence(looks, number))
    return 0.95 + sum(1 - spent_confidence(looks, earlier) for earlier in range(1, number))


def look(
    done: pd.DataFrame,
    controls: pd.DataFrame,
    metric: Metric,
    *,
    looks: int,
    number: int,
    margin: float,
    last: str | None = None,
    out: Collection[Setting] = (),
    smoothing: Knowledge = "known",
    correct: Correct | None = None,
    unlike: Collection[Setting] = (),
) -> Look:
    """Look at the figures of validation: which settings are left, and whether more seeds are needed.

    A pure function of the students that have ended, and of what earlier looks have left out.

    Args:
        done: the finished students of the grid, of one student model, as in `results.csv`.
        controls: its finished students without a teacher; may be empty.
        metric: what is compared.
        looks: how many are planned.
        number: which one this is, from 1.
        margin: points that do not matter.
        last: "budget" or "seeds" where there will be no more seeds whatever is seen.
        out: settings that left the set at earlier looks.
        smoothing: what is known of the teachers' α.
        correct: which validation samples each student got right.
        unlike: settings whose students were not trained alike.
    """
    share = confidence_of(looks, number)
    study = Blocks(done, controls, metric.val, metric, margin, correct, share)
    comparison = study.compared()
    still = [setting for setting in study.settings if setting not in out]
    # Where nothing can be compared (students have failed), nobody leaves.
    could_be = study.settings if comparison is None else [study.settings[i] for i in comparison.could_be_best]  # type: ignore[call-overload]
    left = tuple(setting for setting in still if setting in could_be) or tuple(still)
    confidence = confidence_of(looks, number, last=last == "seeds")

    gone = {*out, *study.settings} - {*left}
    chosen = choice(study, gone)

    def settled(unlike: Collection[Setting]) -> str | None:
        facts = answer(
            done, controls, chosen, metric, "val", margin=margin, smoothing=smoothing, correct=correct, unlike=unlike,
            confidence=confidence, out=gone,
        )  # fmt: skip
        return _settled(facts)

    reason = settled(unlike)
    if reason is None and last is not None:
        reason = last
    if reason is None and unlike and settled(()) is not None:
        reason = "training"
    if reason is None and comparison is not None and _samples_limit(study, comparison, left, smoothing, looks):
        reason = "samples"
    return Look(left if reason is not None else _with_a_rival(study, left, still, smoothing), reason, confidence)


def _with_a_rival(
    study: Blocks, left: tuple[Setting, ...], still: Sequence[Setting], smoothing: Knowledge
) -> tuple[Setting, ...]:
    """What is left; with the best of the other side where one is left and nobody is sure yet.

    A setting alone in a seed is compared with nothing, so its rival gets that seed, too.
    """
    sides = {setting[1] > 0 for setting in left}
    rivals = [setting for setting in still if (setting[1] > 0) not in sides]
    if smoothing == "unknown" or len(sides) > 1 or not rivals:
        return left
    rival = choice(study, {*study.settings} - {*rivals})
    return tuple(setting for setting in still if setting in left or setting == rival)


def choice(study: Blocks, out: Collection[Setting]) -> Setting:
    """The best of the settings that are left, by means that are adjusted for the seeds that some of them lack."""
    comparison = study.compared()
    means = study.scores.mean(axis=1) if comparison is None else comparison.means.set_axis(study.scores.index)
    left = [place for place, setting in enumerate(study.settings) if setting not in out]
    best: Setting = study.metric.best(means.iloc[left or range(len(means))])
    return best


def _settled(facts: Mapping[str, Any]) -> str | None:
    """Whether an answer needs no more seeds: one side is left, or what is left is as good as the best."""
    verdict = facts["smooth"]["verdict"]
    if verdict != "not asked":
        return {"yes": "sure", "no": "sure", "does not matter": "as good"}.get(verdict)
    # Teachers of one kind: the question is which setting.
    left = [row["relation"] for row in facts["settings"] if row["relation"] != "worse"]
    if len(left) == 1:
        return "sure"
    return "as good" if set(left) <= {"best", "tied"} else None


def _samples_limit(
    study: Blocks, comparison: Comparison, left: Sequence[Setting], smoothing: Knowledge, looks: int
) -> bool:
    """Whether no number of seeds would settle what is left, even with the confidence of the last look.

    That is reckoned with the means as they are. While these are uncertain by the seeds rather than by the samples, they
    may still move, and nothing is said.
    """
    places = [place for place, setting in enumerate(study.settings) if setting in left]
    if len(places) < 2 or not comparison.image_variance.any():
        return False
    pairs = np.ix_(places, places)
    if not comparison.image_variance[pairs].sum() >= (comparison.variance - comparison.image_variance)[pairs].sum():
        return False
    of_left = replace(
        comparison,
        means=comparison.means.iloc[places],
        variance=comparison.variance[pairs],
        freedom=comparison.freedom[pairs],
        image_variance=comparison.image_variance[pairs],
        confidence=confidence_of(looks, looks),
    )
    asked = smoothing != "unknown" and len({setting[1] > 0 for setting in study.settings}) > 1
    sides: dict[Hashable, Hashable] = {place: study.settings[place][1] > 0 if asked else place for place in places}
    try:
        return seeds_needed(of_left, sides=sides, at_most=ALL) is None
    except ValueError:  # the variance between seeds is not known
        return False


@dataclass(frozen=True)
class Looked:
    """How the students of a study that was run until sure are to be read.

    Attributes:
        confidence: of what is compared.
        out: settings that have left the set.
    """

    confidence: float = 0.95
    out: frozenset[Setting] = frozenset()


def looked_of(facts: Mapping[str, Any] | None) -> Looked:
    """The same from the facts of an advice (`until_sure`); of a study of another kind, as always."""
    if not facts:
        return Looked()
    out = frozenset(tuple(row[key] for key in KEY) for row in facts.get("out") or ())
    return Looked(float(facts.get("confidence") or 0.95), out)  # type: ignore[arg-type]
