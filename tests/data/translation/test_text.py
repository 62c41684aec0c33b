from __future__ import annotations

import pytest

from tosmooth.data.translation.text import is_alphabetic, is_punctuation, normalised, novel


def test_a_letter_has_one_form_and_spaces_are_single() -> None:
    assert normalised("  Cafe\u0301\u00a0и\u0306\n x ") == "Café й x"
    assert normalised("ДОМ Straße", lowercase=True) == "дом straße"


@pytest.mark.parametrize("word", ["Haus", "дом", "हिन्दी", "x\u0323"])
def test_letters_and_their_marks_make_a_word(word: str) -> None:
    assert is_alphabetic(word)


@pytest.mark.parametrize("text", ["", "a1", "a-b", "…", "\u0301", "42", " a"])
def test_what_is_no_word(text: str) -> None:
    assert not is_alphabetic(text)


def test_punctuation() -> None:
    assert is_punctuation("!?")
    assert is_punctuation("€")
    assert not is_punctuation("")
    assert not is_punctuation("a.")


def test_new_sentences_by_hand() -> None:
    known = ["a b c d e", "please wait now"]
    asked = [
        "a b c x y",  # one of its three trigrams
        "A b c d x y",  # two of four, which is half: not new
        "a b c d x y z",  # two of five
        "a b c a b c",  # of abc, bca, cab: one of three
        "c d e",
        "b c",  # within a known sentence
        "c b",
        "now",
        "now a b",
    ]
    assert novel(asked, known).tolist() == [True, False, True, True, False, False, True, False, True]


def test_no_sentences() -> None:
    assert novel([], ["a b c"]).tolist() == []
    assert novel(["a b c"], []).tolist() == [True]
