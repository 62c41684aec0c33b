"""Successive halving over the rungs of a plan: who goes on and who is dropped. It knows nothing of training.

A candidate is a setting of the grid (objective, α, T, student); all its cells (seeds, teacher seeds) are its
replicates, and it is judged by their mean, as the advice of a study judges it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tosmooth.advice.comparisons import Setting
from tosmooth.errors import StudyError
from tosmooth.search.rungs import Rung, Rungs


@dataclass(frozen=True)
class Decision:
    """What happened at the end of one rung.

    Attributes:
        rung: of the plan.
        scores: mean validation top-1 in percent of every candidate that could be judged, best first.
        kept: those that go on, best first; after the last rung, the winner alone.
    """

    rung: Rung
    scores: dict[Setting, float]
    kept: tuple[Setting, ...]


def ranked(scores: Mapping[Setting, float]) -> list[Setting]:
    """Candidates, best first; equal ones in the order of their settings, as the advice of a study takes them."""
    return sorted(scores, key=lambda setting: (-scores[setting], setting))


def climb(
    plan: Rungs, candidates: Sequence[Setting], judge: Callable[[int, Sequence[Setting]], Mapping[Setting, float]]
) -> list[Decision]:
    """Go through all rungs.

    Args:
        plan: for as many candidates.
        candidates: of the grid.
        judge: the number of a rung (from 0) and its candidates → their scores at its end; a candidate that cannot be
            judged (all its students failed) is left out, and is dropped.

    Returns:
        One decision a rung; the last one's `kept` is the winner.

    Raises:
        StudyError: no candidate of a rung could be judged.
    """
    going: Sequence[Setting] = list(candidates)
    decisions = []
    for number, rung in enumerate(plan.rungs):
        found = judge(number, going)
        order = ranked(found)
        if not order:
            raise StudyError(f"no student was trained to the end of rung {number + 1} of the search")
        last = number + 1 == len(plan.rungs)
        kept = tuple(order[: 1 if last else plan.rungs[number + 1].candidates])
        decisions.append(Decision(rung, {setting: found[setting] for setting in order}, kept))
        going = kept
    return decisions
