from __future__ import annotations

import pytest

from tosmooth.data.translation.byte_pairs import train_vocabulary
from tosmooth.data.translation.pairs import SentencePairs
from tosmooth.data.translation.split import TokenSplit
from tosmooth.data.translation.words import frequent_words, whole_words
from tosmooth.errors import DataError


def split_of(targets: list[str], size: int = 300) -> TokenSplit:
    texts = ["net", "tor", "дом", "bar", "a"] * 2
    vocabulary = train_vocabulary(texts, size)
    return TokenSplit(SentencePairs.of(["x"] * len(targets), targets, "train"), vocabulary, "training")


def test_a_whole_word_ends_before_a_word_punctuation_or_the_end() -> None:
    split = split_of(["net netqz", "tor, tor-net", "дом7 дом"])
    whole = whole_words(split)
    tokens = [split.vocabulary.text_of(int(t)) for t in split.labels[whole]]
    assert tokens == ["net", "tor", "tor", "дом"]  # not netqz, not -net, not дом7


def test_frequent_words_by_hand() -> None:
    """Whole in tor 15 of 15, bar 10 of 11, a 5 of 5, дом 4 of 5 (under 90 %) and net 3 of 6 occurrences."""
    targets = ["tor tor, tor-net"] * 5 + ["bar bar"] * 5 + ["barqz", "дом7"] + ["net netqz"] * 3 + ["a дом"] * 4 + ["a"]
    split = split_of([target.replace("-net", "") for target in targets])
    words = frequent_words(split, 10).tolist()
    assert [split.vocabulary.text_of(token) for token in words] == ["tor", "bar", "a"]


def test_ties_go_by_id_and_the_count_is_a_limit() -> None:
    split = split_of(["tor дом net bar"] * 2 + ["net"])
    found = frequent_words(split, 10).tolist()
    assert split.vocabulary.text_of(found[0]) == "net"
    assert found[1:] == sorted(found[1:])
    assert len(found) == 4
    assert frequent_words(split, 3).tolist() == found[:3]


def test_too_few_words_to_track() -> None:
    with pytest.raises(DataError, match="2 tokens of the training targets are whole words; at least 3 must be"):
        frequent_words(split_of(["tor net"]), 10)
    with pytest.raises(DataError, match="2 words are too few to track; give at least 3"):
        frequent_words(split_of(["tor net дом"]), 2)
