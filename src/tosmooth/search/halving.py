"""Successive halving: how many candidates train how far within a budget, and who goes on. It knows nothing of training.

All candidates train to the end of the first rung, the best 1/η of them go on to the end of the second, and so on; those
of the last rung train to the full number of epochs. (Jamieson and Talwalkar, AISTATS 2016; here the epochs of a rung
are chosen to use the budget, instead of a fixed power of η.)

A candidate is a setting of the grid (objective, α, T, student); all its cells (seeds, teacher seeds) are its
replicates, and it is judged by their mean, as the advice of a study judges it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tosmooth.advice.units import Setting
from tosmooth.errors import ConfigError, StudyError

DEFAULT_BUDGET = 0.4
TOLD_IN = 1000  # the least possible budget is told in thousandths, rounded up so that it is enough


@dataclass(frozen=True)
class Rung:
    """One stretch of training.

    Attributes:
        candidates: how many train in it.
        start: epochs that they have behind them.
        stop: epochs that they have behind them at its end, when they are compared.
    """

    candidates: int
    start: int
    stop: int

    @property
    def cost(self) -> int:
        """Epochs over all candidates, for one replicate (one seed) of each."""
        return self.candidates * (self.stop - self.start)


@dataclass(frozen=True)
class Rungs:
    """A whole plan.

    Attributes:
        rungs: in their order; the last one ends with the full number of epochs.
        eta: the best 1/η of a rung go on.
        budget: share of the whole grid's epochs that may be used.
    """

    rungs: tuple[Rung, ...]
    eta: float
    budget: float

    @property
    def cost(self) -> int:
        """Epochs over all candidates and rungs, for one replicate of each."""
        return sum(rung.cost for rung in self.rungs)

    @property
    def full_cost(self) -> int:
        """The same for the whole grid."""
        return self.rungs[0].candidates * self.rungs[-1].stop

    @property
    def share(self) -> float:
        """Cost as a share of the whole grid's, in (0, 1]."""
        return self.cost / self.full_cost


def plan_rungs(candidates: int, epochs: int, eta: float = 3.0, budget: float | None = None) -> Rungs:
    """Choose the rungs that decide as late as the budget allows.

    A rung of n candidates keeps ⌊n/η⌋ of them (at least 1, at most n − 1). For every possible number of rungs and every
    length of the first one, the ends of the rungs in between lie on a geometric series up to `epochs`. Of the plans
    within the budget, the one with the longest first rung is taken: that is where most candidates are lost, on the
    least evidence. Where several have it, the one that spends more, which keeps more candidates to the end.

    Args:
        candidates: n, at least 1.
        epochs: of a full training, at least 1.
        eta: above 1.
        budget: share of the whole grid's epochs, in (0, 1]; None = 0.4, or the least possible where that is more. At 1,
            nothing is dropped.

    Raises:
        ConfigError: an argument is out of its range (all such mistakes at once), or the budget is too small for any
            plan; the message states the least possible.
    """
    _check(candidates, epochs, eta, budget)
    plans = list(_plans(candidates, epochs, eta))
    full = candidates * epochs
    least = min(cost for _, cost in plans)
    share = max(DEFAULT_BUDGET, least / full) if budget is None else budget
    affordable = [(plan, cost) for plan, cost in plans if cost <= share * full * (1 + 1e-12)]
    if not affordable:
        smallest = math.ceil(least / full * TOLD_IN) / TOLD_IN
        raise ConfigError(
            [
                f"--budget: {share:g} of the whole grid is too little for {candidates} "
                f"candidate{'s' * (candidates != 1)} of {epochs} epoch{'s' * (epochs != 1)} with --eta {eta:g}; "
                f"the least possible is {smallest:g}"
            ]
        )
    chosen, _ = max(affordable, key=lambda found: (found[0][0].stop, found[1]))
    return Rungs(chosen, eta, share)


def _check(candidates: int, epochs: int, eta: float, budget: float | None) -> None:
    mistakes = []
    if candidates < 1:
        mistakes.append(f"candidates: there must be at least 1, got {candidates}")
    if epochs < 1:
        mistakes.append(f"epochs: there must be at least 1, got {epochs}")
    if not (math.isfinite(eta) and eta > 1):
        mistakes.append(f"--eta: must be a number above 1 (the best 1/η of a rung go on), got {eta:g}")
    if budget is not None and not 0 < budget <= 1:
        mistakes.append(f"--budget: must be a share of the whole grid above 0 and at most 1, got {budget:g}")
    if mistakes:
        raise ConfigError(mistakes)


def _plans(candidates: int, epochs: int, eta: float) -> Iterator[tuple[tuple[Rung, ...], int]]:
    """All plans with their costs; the one without any drop first."""
    counts = [candidates]
    while True:
        for first in range(1, epochs + 1) if len(counts) > 1 else [epochs]:
            ends = _ends(first, epochs, len(counts))
            if ends is not None:
                starts = [0, *ends[:-1]]
                plan = tuple(Rung(*row) for row in zip(counts, starts, ends, strict=True))
                yield plan, sum(rung.cost for rung in plan)
        if counts[-1] == 1 or len(counts) == epochs:
            return
        counts.append(max(1, min(counts[-1] - 1, math.floor(counts[-1] / eta))))


def _ends(first: int, epochs: int, rungs: int) -> list[int] | None:
    """Ends of the rungs, from `first` to `epochs` in a geometric series of whole numbers; None where none fit."""
    if first > epochs - rungs + 1:
        return None
    ends = [first]
    for number in range(1, rungs):
        ideal = math.floor(first * (epochs / first) ** (number / (rungs - 1)) + 1e-9)
        ends.append(min(max(ideal, ends[-1] + 1), epochs - (rungs - 1 - number)))
    return ends


@dataclass(frozen=True)
class Decision:
    """What happened at the end of one rung.

    Attributes:
        rung: of the plan.
        scores: mean validation figure of every candidate that could be judged, best first.
        kept: those that go on, best first; after the last rung, the winner alone.
    """

    rung: Rung
    scores: dict[Setting, float]
    kept: tuple[Setting, ...]


def ranked(scores: Mapping[Setting, float], sign: int = 1) -> list[Setting]:
    """Candidates, best first; equal ones in the order of their settings, as the advice of a study takes them.

    Args:
        scores: by candidate.
        sign: −1 where less is better.
    """
    return sorted(scores, key=lambda setting: (-sign * scores[setting], setting))


def climb(
    plan: Rungs,
    candidates: Sequence[Setting],
    judge: Callable[[int, Sequence[Setting]], Mapping[Setting, float]],
    sign: int = 1,
) -> list[Decision]:
    """Go through all rungs.

    Args:
        plan: for as many candidates.
        candidates: of the grid.
        judge: the number of a rung (from 0) and its candidates → their scores at its end; a candidate that cannot be
            judged (all its students failed) is left out, and is dropped.
        sign: of the scores: −1 where less is better.

    Returns:
        One decision a rung; the last one's `kept` is the winner.

    Raises:
        StudyError: no candidate of a rung could be judged.
    """
    going: Sequence[Setting] = list(candidates)
    decisions = []
    for number, rung in enumerate(plan.rungs):
        found = judge(number, going)
        order = ranked(found, sign)
        if not order:
            raise StudyError(f"no student was trained to the end of rung {number + 1} of the search")
        last = number + 1 == len(plan.rungs)
        kept = tuple(order[: 1 if last else plan.rungs[number + 1].candidates])
        decisions.append(Decision(rung, {setting: found[setting] for setting in order}, kept))
        going = kept
    return decisions
