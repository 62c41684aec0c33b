"""How sentences call a teacher, by its smoothing factor and by what is known of that."""

from __future__ import annotations

from tosmooth.config.types import Knowledge

UNKNOWN = "it is not known whether the teacher was label-smoothed"


def which_teacher(alpha: float, smoothing: Knowledge = "known") -> str:
    """`the smoothed teacher (α = 0.1)`."""
    if smoothing == "unknown":
        return "the teacher (its label smoothing is not known)"
    if smoothing == "estimated":
        return (
            f"the smoothed teacher (α ≈ {alpha:g}, estimated)" if alpha > 0 else "the unsmoothed teacher (by its audit)"
        )
    return f"the smoothed teacher (α = {alpha:g})" if alpha > 0 else "the unsmoothed teacher (α = 0)"


def how_trained(alpha: float, smoothing: Knowledge = "known") -> str:
    """`trained with label smoothing α = 0.1`, of a teacher."""
    if smoothing == "unknown":
        return "whose label smoothing is not known"
    if smoothing == "estimated":
        return (
            f"trained with label smoothing, α ≈ {alpha:g} by its audit"
            if alpha > 0
            else "trained without label smoothing, by its audit"
        )
    return f"trained with label smoothing α = {alpha:g}" if alpha > 0 else "trained without label smoothing (α = 0)"


def in_figures(alpha: float, smoothing: Knowledge = "known") -> str:
    """`α = 0.1`."""
    return {"known": f"α = {alpha:g}", "estimated": f"α ≈ {alpha:g}, estimated", "unknown": "not known"}[smoothing]
