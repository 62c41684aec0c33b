from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.translation.toy import pairs_of, vocabulary_of
from tosmooth.data.translation.byte_pairs import train_vocabulary
from tosmooth.data.translation.text import normalised
from tosmooth.errors import DataError

VOCABULARY = vocabulary_of(pairs_of())

TEXTS = [
    "Зелёный дом, и новый свет!",
    "Cafe\u0301 re\u0301sume\u0301, и\u0306од",  # composes
    "x\u0323\u0307 हिन्दी a\u20dd",  # marks that no single character stands for
    "⟨pad⟩ <pad> </s> ⟨eos⟩ ▁ Ġ",
    "👩‍👩‍👧 — “quoted” … 12,5 %",
    "",
    "\u200b\ufeff\x00 \u2028 x",
    "word " * 500,
]


@pytest.mark.parametrize("text", TEXTS)
def test_every_text_comes_back(text: str) -> None:
    (ids,) = VOCABULARY.encode_targets([text])
    assert VOCABULARY.decode(ids) == normalised(text)
    assert ids[-1] == VOCABULARY.eos
    assert not {VOCABULARY.pad, VOCABULARY.start, VOCABULARY.unk, VOCABULARY.eos} & set(ids[:-1])


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_text_comes_back(text: str) -> None:
    assert VOCABULARY.decode(VOCABULARY.encode([text])[0]) == normalised(text)


def test_both_sides_are_encoded_alike_and_in_order() -> None:
    texts = ["the house", "дом", ""]
    assert VOCABULARY.encode(texts) == VOCABULARY.encode_targets(texts)
    assert VOCABULARY.encode(texts)[2] == [VOCABULARY.eos]
    assert VOCABULARY.encode([]) == []


def test_frequent_words_are_one_token_wherever_they_stand() -> None:
    first, later = VOCABULARY.encode(["дом", "и дом."])
    assert len(first) == 2
    assert first[0] in later
    assert VOCABULARY.text_of(first[0]) == "дом"
    assert VOCABULARY.is_whole_word(first[0])


def test_pieces_are_readable() -> None:
    ids = {VOCABULARY.text_of(token): token for token in range(VOCABULARY.size)}
    assert [VOCABULARY.text_of(token) for token in range(4)] == ["⟨pad⟩", "⟨start⟩", "⟨eos⟩", "⟨unk⟩"]
    assert not any(VOCABULARY.is_whole_word(token) for token in range(4))
    assert VOCABULARY.is_whole_word(ids["window"])
    assert not VOCABULARY.is_whole_word(ids["."])
    assert "⟨d0⟩" in ids  # the first half of a Cyrillic letter
    (piece,) = {VOCABULARY.text_of(t) for t in VOCABULARY.encode(["Q"])[0][1:-1]}
    assert piece == "Q"
    assert not VOCABULARY.is_whole_word(ids["Q"])  # never after a space in training: it begins no word


def test_decoding_stops_at_the_end_and_survives_anything() -> None:
    ids = VOCABULARY.encode(["the house"])[0]
    assert VOCABULARY.decode([VOCABULARY.start, *ids, *ids, VOCABULARY.pad]) == "the house"
    half = next(t for t in range(VOCABULARY.size) if VOCABULARY.text_of(t) == "⟨d0⟩")
    assert VOCABULARY.decode([half]) == "\ufffd"


def test_training_gives_the_same_in_another_process_with_other_threads() -> None:
    """The library's hashes are seeded per process, and its threads come from the environment."""
    script = "from tests.data.translation.toy import *; print(vocabulary_of(pairs_of(200)).digest())"
    environment = {**os.environ, "TOKENIZERS_PARALLELISM": "true", "RAYON_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == vocabulary_of(pairs_of(200)).digest()


@pytest.mark.parametrize("before", [None, "true"])
def test_the_environment_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch, before: str | None) -> None:
    monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)
    if before is not None:
        monkeypatch.setenv("TOKENIZERS_PARALLELISM", before)
    train_vocabulary(["a b"], 300).encode(["a"])
    assert os.environ.get("TOKENIZERS_PARALLELISM") == before


def test_sizes() -> None:
    assert vocabulary_of(pairs_of(), 300).size == 300
    assert train_vocabulary(["a b"], 5000).size < 300  # the text has no more pairs
    with pytest.raises(DataError, match=r"data\.text\.vocabulary: 64 tokens are too few; give at least 260"):
        train_vocabulary(["a b"], 64)


def test_words_with_combining_marks_are_one_word() -> None:
    vocabulary = train_vocabulary(["x\u0323ab हिन्दी"] * 5, 400)
    ids = vocabulary.encode(["x\u0323ab हिन्दी"])[0]
    assert [vocabulary.text_of(token) for token in ids[:-1]] == ["x\u0323ab", "हिन्दी"]
    assert all(vocabulary.is_whole_word(token) for token in ids[:-1])


def test_one_long_word_is_cut_for_training_and_changes_nothing_else() -> None:
    texts = ["the house is old", "the old house", "the house"] * 3
    plain, word = train_vocabulary(texts, 280), "ab" * 100_000
    found = train_vocabulary([*texts, word], 280)
    # Longer pieces of the word would be made of ever longer ones: 2 to the power of 20 tokens' worth of letters.
    assert max(len(piece.text) for piece in found.pieces) <= 501
    assert found.decode(found.encode([word])[0]) == word
    assert train_vocabulary([*texts, "x" * 500], 280).digest() != plain.digest()
