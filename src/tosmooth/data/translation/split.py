"""A split of sentence pairs as the engine sees it: its samples are the target tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from tosmooth.data.translation.pairs import SentencePairs
from tosmooth.data.translation.vocabulary import Vocabulary
from tosmooth.errors import DataError

Numbers = NDArray[np.int64]


class TokenSplit:
    """P sentence pairs with N target tokens.

    The texts are whole, also where their tokens were cut for the model (`max_length`): BLEU is scored on whole
    references.

    Args:
        texts: the pairs.
        vocabulary: what the ids are of.
        name: of the split, for messages.
        source_ids, target_ids: their tokens, each sentence at least its end token; None = encoded here.
        max_length: tokens of a side at most. Of a longer source the beginning and an end token are kept, of a longer
            target the beginning alone: an end that is none must not be a label. None = whole.
        novel: (P,) True where less than half of the source's word trigrams occur in training; None = not known.

    Attributes:
        labels: (N,) int64, the target tokens, sentence after sentence, end tokens included.
        offsets: (P + 1,) int64, where each target begins among them.
        source_tokens, source_offsets: the same of the sources.
        cut_sources, cut_targets: how many sentences were cut.
    """

    def __init__(
        self,
        texts: SentencePairs,
        vocabulary: Vocabulary,
        name: str,
        *,
        source_ids: Sequence[Sequence[int]] | None = None,
        target_ids: Sequence[Sequence[int]] | None = None,
        max_length: int | None = None,
        novel: NDArray[np.bool_] | None = None,
    ) -> None:
        self.texts, self.vocabulary, self.name, self.novel = texts, vocabulary, name, novel
        sources = vocabulary.encode(texts.sources) if source_ids is None else source_ids
        targets = vocabulary.encode_targets(texts.targets) if target_ids is None else target_ids
        if not len(texts) == len(sources) == len(targets):
            raise DataError(
                f"the {name} split needs one source and one target a pair; got {len(texts)} pairs, {len(sources)} "
                f"sources and {len(targets)} targets"
            )
        self.cut_sources = self.cut_targets = 0
        if max_length is not None:
            self.cut_sources = sum(len(ids) > max_length for ids in sources)
            self.cut_targets = sum(len(ids) > max_length for ids in targets)
            sources = [ids if len(ids) <= max_length else [*ids[: max_length - 1], ids[-1]] for ids in sources]
            targets = [ids[:max_length] for ids in targets]
        self.source_tokens, self.source_offsets = _flat(sources)
        target_tokens, self.offsets = _flat(targets)
        self.labels = torch.from_numpy(target_tokens)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def pairs(self) -> int:
        """P."""
        return len(self.texts)

    @property
    def sources(self) -> tuple[str, ...]:
        """Source texts, normalised."""
        return self.texts.sources

    @property
    def targets(self) -> tuple[str, ...]:
        """Target texts, normalised: the references."""
        return self.texts.targets

    @cached_property
    def source_ids(self) -> list[Numbers]:
        """The tokens of each source."""
        return np.split(self.source_tokens, self.source_offsets[1:-1]) if self.pairs else []

    @cached_property
    def target_ids(self) -> list[Numbers]:
        """The tokens of each target."""
        return np.split(self.labels.numpy(), self.offsets[1:-1]) if self.pairs else []

    def pair_of(self, index: int) -> int:
        """The pair that token `index` belongs to."""
        return int(np.searchsorted(self.offsets, index, side="right")) - 1

    def describe(self, index: int) -> str:
        """Where token `index` comes from, for messages."""
        pair = self.pair_of(index)
        return f"target token {index - self.offsets[pair] + 1} of {self.texts.describe(pair)} ({self.name} split)"

    def digest(self, *, with_times: bool = False) -> str:
        """A hash of texts and tokens, which are all in memory: times of files tell nothing more."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        found = hashlib.sha256(self.vocabulary.digest().encode())
        for numbers in (self.source_tokens, self.source_offsets, self.labels.numpy(), self.offsets):
            found.update(numbers.tobytes())
        for side in (self.sources, self.targets):
            found.update("\n".join(side).encode(errors="surrogatepass"))
        return found.hexdigest()


def _flat(sentences: Sequence[Sequence[int]]) -> tuple[Numbers, Numbers]:
    """All tokens in a row, and where each sentence begins."""
    offsets = np.zeros(len(sentences) + 1, dtype=np.int64)
    np.cumsum([len(sentence) for sentence in sentences], out=offsets[1:])
    tokens = np.fromiter((token for sentence in sentences for token in sentence), np.int64, count=int(offsets[-1]))
    return tokens, offsets
