"""Sentence pairs small enough to work out by hand, for the tests of this folder."""

from __future__ import annotations

import random
from pathlib import Path

from tosmooth.data.translation.byte_pairs import BytePairVocabulary, train_vocabulary
from tosmooth.data.translation.pairs import SentencePairs
from tosmooth.data.translation.split import TokenSplit

ENGLISH = ("the", "house", "is", "small", "and", "old", "green", "water", "light", "window")
RUSSIAN = ("дом", "старый", "и", "маленький", "вода", "свет", "окно", "зелёный", "мой", "новый")


def sentences(words: tuple[str, ...], count: int, seed: int, longest: int = 12) -> list[str]:
    random_ = random.Random(seed)
    return [" ".join(random_.choices(words, k=random_.randint(1, longest))) + "." for _ in range(count)]


def pairs_of(count: int = 40, longest: int = 12) -> SentencePairs:
    return SentencePairs.of(
        sentences(ENGLISH, count, 1, longest), sentences(RUSSIAN, count, 2, longest), "train.{en,ru}"
    )


def vocabulary_of(pairs: SentencePairs, size: int = 400) -> BytePairVocabulary:
    return train_vocabulary([*pairs.sources, *pairs.targets], size)


def split_of(count: int = 40, longest: int = 12) -> TokenSplit:
    pairs = pairs_of(count, longest)
    return TokenSplit(pairs, vocabulary_of(pairs), "training")


def write_parallel(root: Path, counts: dict[str, int], languages: tuple[str, str] = ("en", "ru")) -> Path:
    """Files of the layout of `parallel_text`, Russian beside English."""
    root.mkdir(parents=True, exist_ok=True)
    for seed, (split, count) in enumerate(counts.items()):
        for language, words in zip(languages, (ENGLISH, RUSSIAN), strict=True):
            lines = sentences(words, count, 10 * seed + (language == languages[1]))
            (root / f"{split}.{language}").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root
