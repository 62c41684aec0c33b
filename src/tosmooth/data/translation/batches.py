"""Batches of sentence pairs, by token count, as a pure function of (seed, epoch, position)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from tosmooth.data.batches import Batch, Batches
from tosmooth.data.translation.split import TokenSplit
from tosmooth.data.views import EpochViews, FreshViews, ViewSchedule
from tosmooth.errors import DataError
from tosmooth.models.translation_inputs import TokenInputs

Numbers = NDArray[np.int64]


class TokenBatches(Batches):
    """Batches whose samples are the target tokens of sentence pairs.

    Shuffled, for training: pairs of like length form a batch, once and for all epochs of a seed; an epoch has them in
    its own order. Every batch holds at most `batch_size` padded tokens a side (pairs × longest sentence), every epoch
    the same number of batches.

    In order: batch p holds exactly the target tokens p · batch_size to (p + 1) · batch_size − 1 of the split. Sentences
    that reach over its ends are run as far as needed, and only the tokens inside count.

    Args:
        split: the pairs.
        batch_size: padded tokens (shuffled), or target tokens (in order).
        seed: of the batches and their order.
        shuffle: for training, or in order.
        views: there is one view of a sentence: where views are stored, all of them are view 0.
        process: (rank, world): this process gets its slice of every batch, whole pairs; all slices together are the
            batch.

    Raises:
        ValueError: batch_size below 1.
        DataError: shuffled, and a pair alone has more tokens than a batch.
    """

    def __init__(
        self,
        split: TokenSplit,
        *,
        batch_size: int,
        seed: int = 0,
        shuffle: bool = False,
        views: ViewSchedule | None = None,
        process: tuple[int, int] = (0, 1),
    ) -> None:
        super().__init__(len(split), batch_size=batch_size, seed=seed, shuffle=shuffle, views=views, process=process)
        self._split = split
        self._source_lengths, self._target_lengths = np.diff(split.source_offsets), np.diff(split.offsets)
        self._source, self._target = split.source_tokens, split.labels.numpy()
        self._stored = views is not None and not isinstance(views, FreshViews)
        self._formed = self._form() if shuffle else []
        self._count = len(self._formed) if shuffle else -(-len(split) // batch_size)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from position `start` on; the ones before it are not made.

        Raises:
            ValueError: `start` lies outside the epoch.
        """
        if not 0 <= start <= len(self):
            raise ValueError(f"start must be from 0 to the {len(self)} batches of an epoch, got {start}")
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self)) if self.shuffle else range(len(self))
        rank, world = self.process
        for position in order[start:]:
            part = self._part(int(position))
            if world == 1:
                yield self._batch(part)
                continue
            used = min(world, len(part))
            own = np.array_split(part, used)[rank] if rank < used else part[:0]
            batch = self._batch(own if len(own) else part[:1])
            yield batch._replace(total=int((part[:, 2] - part[:, 1]).sum()), placeholder=not len(own))

    def _load(self, parts: list[np.ndarray], shown: EpochViews) -> Iterator[Batch]:
        return map(self._batch, parts)

    def _form(self) -> list[Numbers]:
        """The pairs of each training batch: in order of length, ties shuffled, as many as fit."""
        longest = np.maximum(self._source_lengths, self._target_lengths)
        over = np.flatnonzero(longest > self.batch_size)
        if len(over):
            first = int(over[0])
            raise DataError(
                f"{self._split.texts.describe(first)}: a pair of {longest[first]} tokens does not fit into a batch of "
                f"{self.batch_size} padded tokens; raise batch_size, or lower data.text.max_length"
            )
        # The spawn key keeps these draws apart from those of an epoch's order.
        random = np.random.default_rng(np.random.SeedSequence((self.seed,), spawn_key=(2,)))
        shuffled = random.permutation(len(longest))
        by_length = shuffled[np.argsort(longest[shuffled], kind="stable")]
        formed: list[Numbers] = []
        first = 0
        for last, pair in enumerate(by_length):
            # The pair at hand is the longest so far.
            if (last + 1 - first) * longest[pair] > self.batch_size:
                formed.append(by_length[first:last])
                first = last
        return [*formed, by_length[first:]] if len(by_length) else []

    def _part(self, position: int) -> Numbers:
        """(B, 3): the pairs of a batch, and the first and last (exclusive) token that counts in each."""
        offsets = self._split.offsets
        if self.shuffle:
            pairs = self._formed[position]
            return np.stack([pairs, np.zeros_like(pairs), self._target_lengths[pairs]], axis=1)
        first, last = position * self.batch_size, min(self.size, (position + 1) * self.batch_size)
        pairs = np.arange(self._split.pair_of(first), self._split.pair_of(last - 1) + 1)
        begins = np.maximum(first - offsets[pairs], 0)
        ends = np.minimum(last - offsets[pairs], self._target_lengths[pairs])
        return np.stack([pairs, begins, ends], axis=1)

    def _batch(self, part: Numbers) -> Batch:
        pairs, begins, ends = part.T
        pad, start = self._split.vocabulary.pad, self._split.vocabulary.start
        source, source_mask = _padded(self._source, self._split.source_offsets[pairs], self._source_lengths[pairs], pad)
        # What comes after the last token that counts cannot reach it: the decoder looks back only.
        target, target_mask = _padded(self._target, self._split.offsets[pairs], ends, pad)
        decoder_inputs = np.empty_like(target)
        decoder_inputs[:, 0] = start
        decoder_inputs[:, 1:] = target[:, :-1]
        decoder_inputs[~target_mask] = pad
        columns = np.arange(target.shape[1])
        positions = np.flatnonzero(target_mask & (columns >= begins[:, None]))
        labels = torch.from_numpy(target.ravel()[positions])
        indices = (self._split.offsets[pairs][:, None] + columns).ravel()[positions]
        views = np.zeros_like(indices) if self._stored else None
        inputs = TokenInputs(*map(torch.from_numpy, (source, source_mask, decoder_inputs, positions)))
        stored = None if views is None else torch.from_numpy(views)
        return Batch(inputs, labels, torch.from_numpy(indices), stored, on_host=(indices, views))


def _padded(tokens: Numbers, begins: Numbers, lengths: Numbers, pad: int) -> tuple[Numbers, NDArray[np.bool_]]:
    """Sentences out of a row of tokens as (B, longest), padded; and True on what is no padding."""
    columns = np.arange(int(lengths.max()))
    mask = columns < lengths[:, None]
    found = np.full(mask.shape, pad, dtype=np.int64)
    found[mask] = tokens[(begins[:, None] + columns)[mask]]
    return found, mask
