"""Sentence pairs as a source has them, where each comes from, and which of them training leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tosmooth.data.translation.text import normalised
from tosmooth.errors import DataError

SHOWN = 5  # line numbers in a message


@dataclass(frozen=True)
class SentencePairs:
    """P sentences and their translations.

    Attributes:
        sources, targets: the texts.
        origin: what holds them, for messages: files, or a split of a data set.
        lines: (P,) int64, the line or row of each in its origin, counted from 1.
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    origin: str
    lines: NDArray[np.int64]

    @classmethod
    def of(cls, sources: Sequence[str], targets: Sequence[str], origin: str) -> SentencePairs:
        """Pairs that are the first, second, … line of their origin."""
        return cls(tuple(sources), tuple(targets), origin, np.arange(1, len(sources) + 1, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.sources)

    def describe(self, index: int) -> str:
        """Where pair `index` comes from."""
        return f"{self.origin}, line {self.lines[index]}"

    def select(self, chosen: NDArray[np.int64]) -> SentencePairs:
        """Some of the pairs, in that order."""
        return SentencePairs(
            tuple(self.sources[i] for i in chosen),
            tuple(self.targets[i] for i in chosen),
            self.origin,
            self.lines[chosen],
        )

    def normalised(self, *, lowercase: bool = False) -> SentencePairs:
        """All texts in the form of `text.normalised`."""
        sources, targets = (
            tuple(normalised(text, lowercase=lowercase) for text in side) for side in (self.sources, self.targets)
        )
        return SentencePairs(sources, targets, self.origin, self.lines)

    def filled(self) -> NDArray[np.int64]:
        """Indices of the pairs with text on both sides."""
        return np.array([i for i in range(len(self)) if self.sources[i].strip() and self.targets[i].strip()], np.int64)

    def check_filled(self, split: str) -> None:
        """Evaluation scores every pair of its split: one without text must not go unnoticed.

        Raises:
            DataError: a side of a pair is empty; names the lines.
        """
        empty = np.setdiff1d(np.arange(len(self)), self.filled())
        if len(empty):
            lines = ", ".join(str(self.lines[i]) for i in empty[:SHOWN]) + (", …" if len(empty) > SHOWN else "")
            raise DataError(
                f"{self.origin}: {len(empty)} pairs of the {split} split have an empty side (line {lines}); scores are "
                "of all pairs, so remove these on both sides, or mend them"
            )


@dataclass(frozen=True)
class LeftOut:
    """How many training pairs were left out, each counted under the first reason that holds."""

    empty: int
    too_long: int
    ratio: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.empty + self.too_long + self.ratio


def fitting(
    source_lengths: NDArray[np.int64], target_lengths: NDArray[np.int64], max_length: int, max_ratio: float
) -> tuple[NDArray[np.bool_], int, int]:
    """Which training pairs are kept.

    Args:
        source_lengths, target_lengths: (P,) tokens with the end token.
        max_length: tokens that a side may have, the end token included.
        max_ratio: how often the shorter side, without its end token, may go into the longer one.

    Returns:
        (P,) True where a pair is kept, how many are too long, and how many others differ too much in length.
    """
    too_long = np.maximum(source_lengths, target_lengths) > max_length
    shorter = np.maximum(1, np.minimum(source_lengths, target_lengths) - 1)
    longer = np.maximum(1, np.maximum(source_lengths, target_lengths) - 1)
    uneven = ~too_long & (longer > max_ratio * shorter)
    return ~(too_long | uneven), int(too_long.sum()), int(uneven.sum())
