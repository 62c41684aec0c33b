"""What students would have scored, had their training ended earlier."""

from __future__ import annotations

from collections.abc import Sequence


def score_at(curve: Sequence[float], epoch: int, selection: str, *, lower_is_better: bool = False) -> float:
    """What a student's validation figure would be if its training had ended after `epoch`.

    Args:
        curve: one figure an epoch, at least `epoch` of them.
        epoch: from 1.
        selection: "best" counts the best epoch so far, whose weights are kept; "last" the epoch itself.
        lower_is_better: of the figure.
    """
    best = min if lower_is_better else max
    return best(curve[:epoch]) if selection == "best" else curve[epoch - 1]
