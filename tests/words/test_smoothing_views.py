"""The older views in words, from facts."""

from __future__ import annotations

from typing import Any

import pytest

from tosmooth.words.smoothing_views import view_sentences

PAIR = ("Shirt", "Pullover")


def facts(scatter: str, information: str, stability: str) -> dict[str, Any]:
    return {
        "label_smoothing": 0.1,
        "compactness": {"verdict": scatter, "smoothed": 0.1, "unsmoothed": 0.3},
        "information": {"verdict": information, "smoothed": 1.0, "unsmoothed": 2.0},
        "stability": {"verdict": stability, "smoothed": 0.95, "unsmoothed": 0.9},
    }


def test_both_views():
    assert view_sentences(facts("less", "less", "more"), PAIR, "images", augmented=True) == {
        "information": "The smoothed teacher's (α = 0.1) classes are tighter (within over between scatter 0.100, "
        "against 0.300), and its logits tell less about which of the images of “Shirt” and “Pullover” was shown "
        "(1.00 nats, against 2.00). Both say that smoothing has erased information.",
        "stability": "The smoothed teacher's (α = 0.1) answers within a class are more alike (stability 0.950, against "
        "0.900).",
    }


@pytest.mark.parametrize(
    ("verdicts", "words"),
    [
        (("same", "same", "same"), ("as tight", "as much", "do not agree", "no more and no less alike")),
        (("more", "more", "less"), ("looser", "tell more", "Neither says", "are less alike")),
        (("less", "more", "same"), ("tighter", "tell more", "do not agree", "no more and no less alike")),
    ],
)
def test_each_view_says_what_its_numbers_say(verdicts, words):
    text = " ".join(view_sentences(facts(*verdicts), PAIR, "images", augmented=True).values())
    for expected in words:
        assert expected in text


def test_what_was_not_measured_is_said():
    found = view_sentences(facts("less", "less", "more") | {"information": None, "stability": None}, PAIR, "letters",
                           augmented=False)  # fmt: skip
    assert found["information"].endswith("mutual information is not measured: letters have no augmented views here.")
    assert found["stability"] == "Stability was not measured."
    estimated = view_sentences(facts("less", "less", "more") | {"information": None}, PAIR, "images", augmented=True)
    assert estimated["information"].endswith("mutual information could not be estimated.")
    none = view_sentences(facts("less", "less", "more") | {"compactness": None}, PAIR, "images", augmented=True)
    assert none["information"] == "Compactness was not measured."
    assert "no pair" in view_sentences({}, PAIR, "images", augmented=True)["stability"]
