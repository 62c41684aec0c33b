from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.data.translation.toy import pairs_of, split_of, vocabulary_of
from tosmooth.data.translation.pairs import SentencePairs
from tosmooth.data.translation.split import TokenSplit
from tosmooth.errors import DataError

VOCABULARY = vocabulary_of(pairs_of())


def test_samples_are_the_target_tokens_sentence_after_sentence() -> None:
    pairs = pairs_of()
    split = split_of()
    encoded = VOCABULARY.encode_targets(pairs.targets)
    assert split.labels.tolist() == [token for ids in encoded for token in ids]
    assert split.labels.dtype == torch.int64
    assert len(split) == sum(map(len, encoded))
    assert split.pairs == 40
    assert split.offsets.tolist() == np.cumsum([0, *map(len, encoded)]).tolist()
    assert [ids.tolist() for ids in split.target_ids] == encoded
    assert [ids.tolist() for ids in split.source_ids] == VOCABULARY.encode(pairs.sources)
    assert split.sources == pairs.sources
    assert split.targets == pairs.targets
    assert int((split.labels == VOCABULARY.eos).sum()) == 40


def test_a_token_says_where_it_comes_from() -> None:
    split = split_of()
    third = int(split.offsets[2])
    assert split.describe(third) == "target token 1 of train.{en,ru}, line 3 (training split)"
    length = split.offsets[2] - split.offsets[1]
    assert split.describe(third - 1) == f"target token {length} of train.{{en,ru}}, line 2 (training split)"
    assert split.pair_of(third - 1) == 1
    assert split.pair_of(len(split) - 1) == 39


def test_long_sentences_are_cut_for_the_model_and_stay_whole_as_references() -> None:
    long = " ".join(["дом"] * 500)
    pairs = SentencePairs.of(["the " * 500, "the"], [long, "дом"], "test")
    split = TokenSplit(pairs, VOCABULARY, "test", max_length=20)
    assert (split.cut_sources, split.cut_targets) == (1, 1)
    assert split.targets[0] == long
    whole = VOCABULARY.encode_targets([long])[0]
    assert split.target_ids[0].tolist() == whole[:20]  # no end where there is none
    assert VOCABULARY.eos not in split.target_ids[0]
    assert len(split.source_ids[0]) == 20
    assert split.source_ids[0][-1] == VOCABULARY.eos
    assert split.target_ids[1].tolist() == VOCABULARY.encode(["дом"])[0]


def test_the_digest_is_of_texts_and_tokens() -> None:
    pairs = pairs_of()
    split = TokenSplit(pairs, VOCABULARY, "training")
    assert split.digest() == split.digest(with_times=True) == split_of().digest()
    other = SentencePairs.of([*pairs.sources[:-1], "the"], pairs.targets, "x")
    assert TokenSplit(other, VOCABULARY, "training").digest() != split.digest()
    assert TokenSplit(pairs, vocabulary_of(pairs, 300), "training").digest() != split.digest()
    assert TokenSplit(pairs, VOCABULARY, "training", max_length=5).digest() != split.digest()


def test_an_empty_split() -> None:
    split = TokenSplit(SentencePairs.of([], [], "none"), VOCABULARY, "validation")
    assert (len(split), split.pairs, split.source_ids, split.target_ids) == (0, 0, [], [])
    assert split.offsets.tolist() == [0]


def test_ids_of_other_pairs_are_refused() -> None:
    with pytest.raises(DataError, match="got 40 pairs, 1 sources and 40 targets"):
        TokenSplit(pairs_of(), VOCABULARY, "training", source_ids=[[5, 2]])
