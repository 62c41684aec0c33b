from __future__ import annotations

import pandas as pd
import pytest

from tosmooth.advice.smoothing_views import view_sentences

EFFECT = {"sentence": "Systematic diffusion is shown at T = 64."}
PAIR = ("Shirt", "Pullover")


def _teachers(*rows: tuple[float, float, float | None, float | None]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["label_smoothing", "compactness", "mi_similar", "stability"])


@pytest.mark.parametrize(
    ("smoothed", "words"),
    [
        ((0.1, 1.0, 0.99), ("tighter", "tell less", "Both say that smoothing has erased", "are more alike")),
        ((0.3, 2.0, 0.90), ("as tight", "as much", "do not agree", "no more and no less alike")),
        ((0.5, 3.0, 0.80), ("looser", "tell more", "Neither says", "are less alike")),
        ((0.1, 3.0, 0.90), ("tighter", "tell more", "do not agree", "no more and no less")),
    ],
)
def test_each_view_says_what_its_numbers_say(smoothed, words):
    found = view_sentences(_teachers((0.0, 0.3, 2.0, 0.90), (0.1, *smoothed)), EFFECT, PAIR)
    text = " ".join(found.values())
    for expected in (*words, "“Shirt” and “Pullover”", "Systematic diffusion is shown"):
        assert expected in text


def test_several_teachers_of_one_factor_are_averaged_and_the_most_smoothed_is_compared():
    rows = ((0.0, 0.2, 2.0, 0.9), (0.0, 0.4, 2.0, 0.9), (0.1, 0.3, 2.0, 0.9), (0.2, 0.1, 2.0, 0.9))
    assert (
        "tighter (within over between scatter 0.100, against 0.300)"
        in view_sentences(_teachers(*rows), EFFECT, PAIR)["information"]
    )


def test_what_was_not_measured_is_said():
    found = view_sentences(_teachers((0.0, 0.3, None, None), (0.1, 0.1, None, None)).astype(float), {}, PAIR)
    assert "could not be estimated" in found["information"]
    assert found["stability"] == "Stability was not measured."
    assert found["diffusion"] == "Diffusion was not judged."
    for alone in (_teachers((0.1, 0.3, 1.0, 0.9)), _teachers((0.1, 0.3, 1.0, 0.9), (0.2, 0.3, 1.0, 0.9))):
        assert "no pair" in view_sentences(alone, EFFECT, PAIR)["stability"]


def test_sentences_have_no_augmented_views_to_measure_information_with():
    teachers = _teachers((0.0, 0.3, None, 0.9), (0.1, 0.1, None, 0.95)).astype({"mi_similar": object})
    found = view_sentences(teachers, EFFECT, PAIR, "tokens", augmented=False)
    assert found["information"].endswith("mutual information is not measured: tokens have no augmented views here.")
    assert "tighter" in found["information"]
    assert "more alike" in found["stability"]
    bare = view_sentences(
        _teachers((0.0, None, None, 0.9), (0.1, None, None, 0.9)), EFFECT, PAIR, "tokens", augmented=False
    )
    assert bare["information"] == "Compactness was not measured."
