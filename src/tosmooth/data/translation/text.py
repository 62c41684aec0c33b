"""Text as all parts of the task see it: one form of every letter, single spaces, and what counts as a word."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

WORDS = 3  # of the sequences by which sentences are compared


def normalised(text: str, *, lowercase: bool = False) -> str:
    """Unicode's composed form (NFC), single spaces, none at the ends; lower-cased where asked.

    An é written as e and a combining accent is the same letter as the single character é, and would otherwise be other
    tokens, and an error to BLEU.
    """
    return " ".join(unicodedata.normalize("NFC", text.lower() if lowercase else text).split())


def is_alphabetic(text: str) -> bool:
    """Letters, with the marks that combine with them, and nothing else."""
    kinds = {unicodedata.category(character)[0] for character in text}
    return "L" in kinds and kinds <= {"L", "M"}


def is_punctuation(text: str) -> bool:
    """Punctuation and symbols, at least one, and nothing else."""
    return bool(text) and all(unicodedata.category(character)[0] in "PS" for character in text)


def novel(sentences: Sequence[str], known: Iterable[str], *, unspaced: bool = False) -> NDArray[np.bool_]:
    """Which sentences are new: less than half of their different word trigrams occur in the known ones.

    Words are what spaces separate, lower-cased. A sentence of one or two words counts as one sequence of that length.

    Args:
        sentences: P sentences that are asked about.
        known: sentences of the training split.
        unspaced: the language has no spaces between words: letters stand for words.

    Returns:
        (P,) True where a sentence is new.
    """
    sequences = [set(_sequences(_words(sentence, unspaced), WORDS)) for sentence in sentences]
    # Only what is asked for is kept in memory, and not every trigram of a large training split.
    asked = set().union(*sequences)
    lengths = sorted({len(sequence) for sequence in asked})
    met: set[tuple[str, ...]] = set()
    for sentence in known:
        words = _words(sentence, unspaced)
        for length in lengths:
            met.update(asked.intersection(zip(*(words[start:] for start in range(length)), strict=False)))
    return np.array([2 * len(found & met) < len(found) for found in sequences], dtype=bool)


def _words(sentence: str, unspaced: bool) -> list[str]:
    words = sentence.lower().split()
    return [letter for word in words for letter in word] if unspaced else words


def _sequences(words: list[str], length: int) -> Iterator[tuple[str, ...]]:
    length = max(1, min(length, len(words)))
    return zip(*(words[start:] for start in range(length)), strict=False)
