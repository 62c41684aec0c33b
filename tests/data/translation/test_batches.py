from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.data.translation.toy import split_of
from tosmooth.data.batches import Batch, Batches
from tosmooth.data.translation.batches import TokenBatches
from tosmooth.data.translation.pairs import SentencePairs
from tosmooth.data.translation.split import TokenSplit
from tosmooth.data.views import EachView, FreshViews, StoredViews
from tosmooth.errors import DataError
from tosmooth.models.translation_inputs import TokenInputs

SPLIT = split_of()


def inputs_of(batch: Batch) -> TokenInputs:
    assert isinstance(batch.inputs, TokenInputs)
    return batch.inputs


def tensors(batch: Batch) -> list[Tensor]:
    return [*inputs_of(batch), batch.labels, batch.indices]


def same(first: list[Batch], second: list[Batch]) -> bool:
    return len(first) == len(second) and all(
        a.shape == b.shape and torch.equal(a, b)
        for x, y in zip(first, second, strict=True)
        for a, b in zip(tensors(x), tensors(y), strict=True)
    )


def shuffled(**options: object) -> TokenBatches:
    return TokenBatches(SPLIT, **{"batch_size": 60, "shuffle": True, **options})  # type: ignore[arg-type]


def check(batch: Batch, split: TokenSplit = SPLIT) -> None:
    """A batch against the split, sentence by sentence, in plain loops."""
    source, source_mask, decoder_inputs, positions = inputs_of(batch)
    vocabulary = split.vocabulary
    labels, indices = [], []
    count, width = 0, decoder_inputs.shape[1]
    assert batch.on_host is not None
    assert batch.on_host[0].tolist() == batch.indices.tolist()
    assert (batch.on_host[1] is None) == (batch.views is None)
    rows, columns = positions // width, positions % width
    for row in range(len(source)):
        chosen = columns[rows == row].tolist()
        pair = split.pair_of(int(batch.indices[count]))
        count += len(chosen)
        ids = split.source_ids[pair].tolist()
        assert source[row].tolist() == ids + [vocabulary.pad] * (source.shape[1] - len(ids))
        assert source_mask[row].tolist() == [True] * len(ids) + [False] * (source.shape[1] - len(ids))
        target = split.target_ids[pair].tolist()
        needed = chosen[-1] + 1
        assert decoder_inputs[row, :needed].tolist() == [vocabulary.start, *target][:needed]
        assert set(decoder_inputs[row, needed:].tolist()) <= {vocabulary.pad}
        labels += [target[position] for position in chosen]
        indices += [int(split.offsets[pair]) + position for position in chosen]
    assert batch.labels.tolist() == labels
    assert batch.indices.tolist() == indices
    assert torch.equal(batch.labels, split.labels[batch.indices])


def test_an_epoch_holds_every_token_once() -> None:
    found = list(shuffled().epoch(0))
    assert len(found) > 5
    for batch in found:
        check(batch)
        assert batch.views is None
        assert (batch.counted, batch.whole) == (len(batch.labels), len(batch.labels))
    assert sorted(torch.cat([batch.indices for batch in found]).tolist()) == list(range(len(SPLIT)))


def test_no_batch_has_more_padded_tokens_than_allowed() -> None:
    sizes = [inputs_of(batch) for batch in shuffled().epoch(0)]
    padded = [len(i.source) * max(i.source.shape[1], i.decoder_inputs.shape[1]) for i in sizes]
    assert max(padded) <= 60
    assert np.mean(padded) > 45  # full, but for the last one and what length leaves over


def test_a_batch_is_a_pure_function_of_seed_epoch_and_position() -> None:
    batches = shuffled(seed=4)
    assert isinstance(batches, Batches)
    whole = list(batches.epoch(2))
    assert same(list(batches.epoch(2, start=3)), whole[3:])
    assert same(list(shuffled(seed=4).epoch(2)), whole)
    assert not same(list(batches.epoch(3)), whole)
    assert not same(list(shuffled(seed=5).epoch(2)), whole)
    assert list(batches.epoch(2, start=len(batches))) == []
    assert {len(list(batches.epoch(epoch))) for epoch in range(4)} == {len(batches)}


def test_the_pairs_of_a_batch_stay_together_over_the_epochs_of_a_seed() -> None:
    def sets(batches: TokenBatches, epoch: int) -> set[tuple[int, ...]]:
        return {tuple(batch.indices.tolist()) for batch in batches.epoch(epoch)}

    assert sets(shuffled(), 0) == sets(shuffled(), 1)
    assert sets(shuffled(seed=0), 0) != sets(shuffled(seed=1), 0)


@pytest.mark.parametrize("batch_size", [1, 7, 50, 10_000])
def test_in_order_a_batch_is_a_range_of_tokens(batch_size: int) -> None:
    batches = TokenBatches(SPLIT, batch_size=batch_size)
    found = list(batches.epoch(0))
    assert len(found) == len(batches) == -(-len(SPLIT) // batch_size)
    for number, batch in enumerate(found):
        first = number * batch_size
        assert batch.indices.tolist() == list(range(first, min(len(SPLIT), first + batch_size)))
        check(batch)
    assert same(list(batches.epoch(5, start=len(found) // 2)), found[len(found) // 2 :])
    assert batches.size == len(SPLIT)
    assert batches.batch_size == batch_size


@pytest.mark.parametrize("world", [2, 3])
@pytest.mark.parametrize("options", [{"shuffle": True, "batch_size": 60}, {"batch_size": 25}])
def test_the_slices_of_all_processes_are_the_batch(world: int, options: dict[str, int]) -> None:
    whole = list(TokenBatches(SPLIT, **options).epoch(1))  # type: ignore[arg-type]
    shared = [
        list(TokenBatches(SPLIT, process=(rank, world), **options).epoch(1))  # type: ignore[arg-type]
        for rank in range(world)
    ]
    for number, batch in enumerate(whole):
        parts = [batches[number] for batches in shared]
        assert {part.total for part in parts} == {len(batch.labels)}
        counted = [part for part in parts if part.counted]
        assert sum(part.counted for part in parts) == len(batch.labels)
        assert torch.equal(torch.cat([part.indices for part in counted]), batch.indices)
        assert torch.equal(torch.cat([part.labels for part in counted]), batch.labels)
        for part in parts:
            check(part)  # a placeholder is a batch that can be run, too


def test_a_batch_of_one_pair_leaves_a_process_without_work() -> None:
    (batch,) = TokenBatches(split_of(1), batch_size=100, shuffle=True, process=(1, 2)).epoch(0)
    assert batch.placeholder
    assert batch.counted == 0
    assert batch.whole == len(split_of(1))


def test_all_stored_views_are_the_first() -> None:
    for views in (EachView(1, 0), StoredViews(1, 0, 3)):
        (batch,) = TokenBatches(SPLIT, batch_size=10_000, views=views).epoch(0)
        assert batch.views is not None
        assert batch.views.tolist() == [0] * len(SPLIT)
    assert next(shuffled(views=FreshViews(0)).epoch(0)).views is None


def test_a_pair_larger_than_a_batch_is_named() -> None:
    longest = max(range(SPLIT.pairs), key=lambda p: max(len(SPLIT.source_ids[p]), len(SPLIT.target_ids[p])))
    with pytest.raises(DataError, match=r"line \d+: a pair of \d+ tokens does not fit into a batch of 5 padded tokens"):
        shuffled(batch_size=5)
    length = max(len(SPLIT.source_ids[longest]), len(SPLIT.target_ids[longest]))
    assert len(shuffled(batch_size=length)) > 1


def test_a_sentence_of_500_words() -> None:
    pairs = SentencePairs.of(["the house " * 250, "the"], ["дом " * 500, "дом"], "x")
    split = TokenSplit(pairs, SPLIT.vocabulary, "training")
    found = list(TokenBatches(split, batch_size=1100, shuffle=True).epoch(0))
    assert [len(batch.labels) for batch in found] == [503]
    for batch in [*found, *TokenBatches(split, batch_size=100).epoch(0)]:
        check(batch, split)


def test_impossible_arguments() -> None:
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        shuffled(batch_size=0)
    with pytest.raises(ValueError, match=re.escape(f"start must be from 0 to the {len(shuffled())} batches")):
        list(shuffled().epoch(0, start=len(shuffled()) + 1))


def test_an_empty_split_has_no_batches() -> None:
    empty = TokenSplit(SentencePairs.of([], [], "none"), SPLIT.vocabulary, "validation")
    for shuffle in (True, False):
        assert list(TokenBatches(empty, batch_size=10, shuffle=shuffle).epoch(0)) == []


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=30),
    batch_size=st.integers(9, 60),
    seed=st.integers(0, 3),
    shuffle=st.booleans(),
)
def test_any_lengths(lengths: list[tuple[int, int]], batch_size: int, seed: int, shuffle: bool) -> None:
    split = TokenSplit(
        SentencePairs.of(["x"] * len(lengths), ["x"] * len(lengths), "x"),
        SPLIT.vocabulary,
        "training",
        source_ids=[[5 + i for i in range(s)] for s, _ in lengths],
        target_ids=[[9 + i for i in range(t)] for _, t in lengths],
    )
    found = list(TokenBatches(split, batch_size=batch_size, seed=seed, shuffle=shuffle).epoch(seed))
    assert sorted(torch.cat([batch.indices for batch in found]).tolist()) == list(range(len(split)))
    for batch in found:
        check(batch, split)
        if shuffle:
            parts = inputs_of(batch)
            assert len(parts.source) * max(parts.source.shape[1], parts.decoder_inputs.shape[1]) <= batch_size
