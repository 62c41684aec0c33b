"""Whether a study shows systematic diffusion, in words."""

from __future__ import annotations

from collections.abc import Sequence

from tosmooth.analysis.inference import Interval
from tosmooth.words.numbers import interval_of, listed
from tosmooth.words.students import of_students
from tosmooth.words.teachers import UNKNOWN
from tosmooth.words.wording import Facts, Wording

AlphaT = tuple[float, float]
Etas = dict[tuple[float, float, str], Interval]  # by α, T and quantity
CONDITIONS = {  # the one that failed, and the quantity that says so
    "similar": ("classes do not move towards the classes they resemble: η towards similar classes is", "eta_s1"),
    "dissimilar": (
        "classes move no further towards similar than towards dissimilar ones: the difference in η is",
        "eta_s1-eta_s2",
    ),
    "unsmoothed": (
        "students of the smoothed teacher drift no more than those of the unsmoothed one: the contrast is",
        "contrast",
    ),
}


def effect_sentence(facts: Facts, wording: Wording) -> str:
    """The verdict on systematic diffusion, with the η that it rests on.

    Args:
        facts: `effect` of `analysis/advice.json`.
        wording: of the study.
    """
    if wording.smoothing == "unknown":
        text = f"Systematic diffusion is of students of smoothed teachers; {UNKNOWN}."
    elif facts["verdict"] == "inconclusive":
        text = (
            f"Too few {facts['unit']}s to tell diffusion from chance: train at least three, better six."
            if facts["reason"] == "too few"
            else "There is no student of a smoothed teacher at a raised temperature to judge by."
        )
    else:
        etas: Etas = {
            (row["label_smoothing"], row["temperature"], row["quantity"]): interval_of(row) for row in facts["eta"]
        }
        shown, opposed = ([(alpha, t) for alpha, t in facts[key]] for key in ("shown", "opposed"))
        parts = [_shown(etas, shown, facts["unit"])] if shown else []
        parts += [_opposed(etas, opposed, facts["unit"])] if opposed else []
        text = " ".join(parts) if parts else _not_shown(facts, etas)
    return text + of_students(wording.training)


def _shown(etas: Etas, shown: Sequence[AlphaT], unit: str) -> str:
    alpha, temperature = max(shown, key=lambda place: etas[*place, "eta_s1-eta_s2"].mean)
    more = ", and more than under the unsmoothed teacher" if (alpha, temperature, "contrast") in etas else ""
    return (
        f"Systematic diffusion is shown at {_where(etas, shown)}: students of the smoothed teacher move towards "
        f"similar classes{more}. {_values_at(etas, (alpha, temperature), unit)}"
    )


def _opposed(etas: Etas, opposed: Sequence[AlphaT], unit: str) -> str:
    strongest = min(opposed, key=lambda place: etas[*place, "eta_s1-eta_s2"].mean)
    return (
        f"The opposite of systematic diffusion is found at {_where(etas, opposed)}: classes move away from those they "
        f"resemble. {_values_at(etas, strongest, unit)}"
    )


def _where(etas: Etas, places: Sequence[AlphaT]) -> str:
    """`T = 2 and 64`, or with several smoothed teachers `α = 0.2 (T = 64) and α = 0.3 (T = 2 and 64)`."""
    if len({alpha for alpha, _, _ in etas}) == 1:
        return f"T = {listed([f'{temperature:g}' for _, temperature in places])}"
    by_alpha: dict[float, list[str]] = {}
    for alpha, temperature in sorted(places):
        by_alpha.setdefault(alpha, []).append(f"{temperature:g}")
    return listed([f"α = {alpha:g} (T = {listed(found)})" for alpha, found in by_alpha.items()])


def _values_at(etas: Etas, place: AlphaT, unit: str) -> str:
    """The two means that a verdict rests on, with their 95 % intervals."""
    s1, s2 = etas[*place, "eta_s1"], etas[*place, "eta_s2"]
    return (
        f"At T = {place[1]:g}, η is {s1.mean:+.3f} ({s1.low:+.3f} to {s1.high:+.3f}) towards similar and "
        f"{s2.mean:+.3f} ({s2.low:+.3f} to {s2.high:+.3f}) towards dissimilar classes (α = {place[0]:g}, "
        f"{s1.n} {unit}s)."
    )


def _not_shown(facts: Facts, etas: Etas) -> str:
    """Which condition failed; and a positive contrast, which is a part of the picture and not the verdict."""
    alpha, temperature = facts["at"]
    head = f"Your data does not show systematic diffusion. At T = {temperature:g} (α = {alpha:g}), "
    if facts["reason"] not in CONDITIONS:
        return f"{head}the signs agree with it, but not beyond chance once all temperatures are taken into account."
    text, quantity = CONDITIONS[facts["reason"]]
    eta, contrast = etas[alpha, temperature, quantity], etas.get((alpha, temperature, "contrast"))
    beside = (
        " Yet they stay nearer to similar classes than students of the unsmoothed teacher "
        f"(contrast {contrast.mean:+.3f}, {contrast.low:+.3f} to {contrast.high:+.3f})."
        if contrast is not None and contrast.low > 0
        else ""
    )
    return (
        f"{head}{text} {eta.mean:+.3f} (95 % interval {eta.low:+.3f} to {eta.high:+.3f}, {eta.n} {facts['unit']}s)."
        f"{beside}"
    )
