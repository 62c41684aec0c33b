"""Settings that were not trained alike, in words."""

from __future__ import annotations

from tosmooth.words.wording import Facts


def way_gone(setting: Facts, reference: float) -> str:
    """How far the students of the setting that is farthest off have gone, as the middle of a sentence.

    Args:
        setting: its α and T, and the way that it has gone as a share of that at T₀.
        reference: T₀.
    """
    ratio = setting["way_to_reference"]
    gone = f"have gone {100 * ratio:.0f} % of the way that those at T = {reference:g} went"
    if ratio <= 0:
        gone = f"have got no nearer to their teacher's answers, and those at T = {reference:g} have"
    return f"the students at α = {setting['label_smoothing']:g}, T = {setting['temperature']:g} {gone}"
