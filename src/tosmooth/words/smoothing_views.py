"""What the two older views on smoothing say of a study's teachers, a sentence each."""

from __future__ import annotations

from collections.abc import Sequence

from tosmooth.words.numbers import fixed
from tosmooth.words.wording import Facts

COMPACTNESS = {"less": "tighter", "same": "as tight", "more": "looser"}
INFORMATION = {"less": "less", "same": "as much", "more": "more"}
STABILITY = {"less": "less", "same": "no more and no less", "more": "more"}
ERASED = {
    ("less", "less"): "Both say that smoothing has erased information.",
    ("more", "more"): "Neither says that smoothing has erased information.",
}


def view_sentences(facts: Facts, pair: Sequence[str], samples: str, *, augmented: bool) -> dict[str, str]:
    """`information` (Müller et al.) and `stability` (Shen et al.).

    Args:
        facts: of `advice.smoothing_views.judge_views`.
        pair: names of the two similar classes.
        samples: what they are, in the plural.
        augmented: whether there are augmented views of them to measure mutual information with.
    """
    if not facts:
        return dict.fromkeys(
            ("information", "stability"), "There is no pair of a smoothed and an unsmoothed teacher to compare."
        )
    return {"information": _information(facts, pair, samples, augmented), "stability": _stability(facts)}


def _whose(facts: Facts) -> str:
    """Named by its α, as there may be several smoothed teachers."""
    return f"The smoothed teacher's (α = {facts['label_smoothing']:g})"


def _information(facts: Facts, pair: Sequence[str], samples: str, augmented: bool) -> str:
    scatter, told = facts["compactness"], facts["information"]
    if scatter is None:
        return "Compactness was not measured."
    text = (
        f"{_whose(facts)} classes are {COMPACTNESS[scatter['verdict']]} (within over between scatter "
        f"{fixed(scatter['smoothed'], 3)}, against {fixed(scatter['unsmoothed'], 3)})"
    )
    if told is None:
        why = "could not be estimated" if augmented else f"is not measured: {samples} have no augmented views here"
        return f"{text}; mutual information {why}."
    erased = ERASED.get(
        (scatter["verdict"], told["verdict"]), "The two do not agree that smoothing has erased information."
    )
    return (
        f"{text}, and its logits tell {INFORMATION[told['verdict']]} about which of the {samples} of “{pair[0]}” and "
        f"“{pair[1]}” was shown ({fixed(told['smoothed'], 2)} nats, against {fixed(told['unsmoothed'], 2)}). {erased}"
    )


def _stability(facts: Facts) -> str:
    found = facts["stability"]
    if found is None:
        return "Stability was not measured."
    return (
        f"{_whose(facts)} answers within a class are {STABILITY[found['verdict']]} alike (stability "
        f"{fixed(found['smoothed'], 3)}, against {fixed(found['unsmoothed'], 3)})."
    )
