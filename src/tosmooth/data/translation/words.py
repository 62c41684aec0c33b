"""The classes of a translation task: frequent target words that are one token each."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from tosmooth.data.translation.split import TokenSplit
from tosmooth.errors import DataError

LEAST_CLASSES = 3
LONGEST_WORDS = 10  # characters, on average, spaces included: German has 7, Finnish 8.5
WHOLE_SHARE = 0.9  # of a token's occurrences


def whole_words(split: TokenSplit) -> np.ndarray:
    """(N,) True where a target token is a whole word: it begins one, is made of letters, and the word ends with it.

    A word ends before a token that begins another, before punctuation, and at the end of the sentence.
    """
    vocabulary, labels = split.vocabulary, split.labels.numpy()
    ends = np.ones(len(labels), dtype=bool)
    ends[:-1] = vocabulary.boundaries[labels[1:]]
    ends[split.offsets[1:] - 1] = True  # of a target that was cut, or has no end token
    found: np.ndarray = vocabulary.words[labels] & ends
    return found


def is_without_spaces(split: TokenSplit) -> bool:
    """Whether targets have more than `LONGEST_WORDS` characters to a space, on average."""
    texts = split.targets
    spaces = sum(text.count(" ") + 1 for text in texts)
    return sum(map(len, texts)) > LONGEST_WORDS * spaces


def frequent_words(split: TokenSplit, count: int, *, unspaced: bool = False) -> Tensor:
    """Vocabulary ids (C,) int64, C ≤ `count`, of the tokens that are whole words most often, and nearly always.

    The most frequent one comes first, ties by id. Tokens that are a part of longer words in more than 10 % of their
    occurrences are left out: their representation would be that of a beginning.

    Args:
        split: the training split.
        count: words asked for.
        unspaced: the target language has no spaces between words. Where its text has none either, the tokens are those
            made of letters, wherever they stand: nobody says where a word ends.

    Raises:
        DataError: fewer than 3 such tokens, or asked for.
    """
    if count < LEAST_CLASSES:
        raise DataError(f"{count} words are too few to track; give at least {LEAST_CLASSES}")
    labels, size = split.labels.numpy(), split.vocabulary.size
    whole = np.bincount(labels[whole_words(split)], minlength=size)
    if unspaced and is_without_spaces(split):
        whole = np.bincount(labels[split.vocabulary.inner_letters[labels]], minlength=size)
    all_of_them = np.bincount(labels, minlength=size)
    suitable = np.flatnonzero((whole > 0) & (whole >= WHOLE_SHARE * all_of_them))
    chosen = suitable[np.argsort(-whole[suitable], kind="stable")][:count]
    if len(chosen) < LEAST_CLASSES:
        raise DataError(
            f"{len(chosen)} tokens of the training targets are whole words; at least {LEAST_CLASSES} must be; "
            + (
                "the text has hardly any spaces: if its language has none, data.text.target_language must say which "
                "one it is (zh, ja, th, …); otherwise part its words by spaces"
                if not unspaced and is_without_spaces(split)
                else "enlarge data.text.vocabulary (a small one cuts every word), or use more sentences"
            )
        )
    return torch.from_numpy(chosen.astype(np.int64))
