from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.data.translation.toy import ENGLISH, RUSSIAN, write_parallel
from tosmooth.data.translation.byte_pairs import train_vocabulary
from tosmooth.data.translation.config import TextConfig, TranslationDataConfig
from tosmooth.data.translation.data import TranslationData, load_translation_data
from tosmooth.data.translation.words import whole_words
from tosmooth.errors import DataError


def section(
    source: str = "parallel_text", text: dict[str, Any] | None = None, **settings: Any
) -> TranslationDataConfig:
    made = TextConfig(**{"target_language": "ru", "vocabulary": 400, "max_ratio": 100, **(text or {})})
    return TranslationDataConfig().model_copy(update={"source": source, "text": made, **settings})


def load(path: Path, text: dict[str, Any] | None = None, tokens: int = 100, **settings: Any) -> TranslationData:
    return load_translation_data(section(text=text, path=path, **settings), tokens)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    return write_parallel(tmp_path / "files", {"train": 60, "valid": 10, "test": 10})


def append(root: Path, split: str, english: str, russian: str) -> None:
    for language, line in (("en", english), ("ru", russian)):
        with (root / f"{split}.{language}").open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def noted(data: TranslationData, words: str) -> bool:
    return any(words in note for note in data.notes)


def test_all_parts_fit_together(files: Path) -> None:
    data = load(files)
    assert (data.train.pairs, data.validation.pairs, data.test.pairs) == (60, 10, 10)
    assert data.num_outputs == data.vocabulary.size
    assert data.num_classes == len(data.classes) == len(data.class_outputs)
    assert set(data.classes) <= set(RUSSIAN)
    assert data.class_outputs.dtype == torch.int64
    assert [data.vocabulary.text_of(token) for token in data.class_outputs.tolist()] == list(data.classes)
    assert whole_words(data.train)[(data.train.labels == data.class_outputs[0]).numpy()].mean() >= 0.9
    assert (data.source_language, data.target_language, data.superclasses) == ("en", "ru", None)
    assert data.train.novel is None
    assert data.test.novel is not None
    assert noted(data, "validation: the source's own split")
    assert load(files, tokens=3).classes == data.classes[:3]


def test_the_fingerprint_is_of_what_was_loaded(files: Path) -> None:
    data = load(files)
    assert load(files).fingerprint == data.fingerprint
    assert load(files, tokens=3).fingerprint != data.fingerprint
    assert load(files, {"vocabulary": 345}).fingerprint != data.fingerprint
    append(files, "test", "one more", "ещё один")
    assert load(files).fingerprint != data.fingerprint


def test_training_is_cleaned_and_counted(files: Path) -> None:
    append(files, "train", "", "дом")
    append(files, "train", "house", "\u00a0 ")
    append(files, "train", "the house " * 250, "дом " * 500)
    append(files, "train", "the house is small and old", "дом")
    data = load(files, {"max_length": 100, "max_ratio": 4.5})
    assert (data.left_out.empty, data.left_out.too_long, data.left_out.ratio) == (2, 1, 1 + _uneven(files, 4.5))
    assert data.train.pairs == 64 - data.left_out.total
    assert noted(
        data, f"training: {data.left_out.total} of 64 pairs left out: 2 with an empty side, 1 of more than 100"
    )
    assert max(len(ids) for ids in data.train.target_ids) <= 100


def _uneven(files: Path, ratio: float) -> int:
    """Of the toy sentences, whose words and full stops are a token each."""
    lengths = [
        [len(line.replace(".", " .").split()) for line in (files / f"train.{code}").read_text("utf-8").split("\n")[:60]]
        for code in ("en", "ru")
    ]
    return sum(max(a, b) > ratio * min(a, b) for a, b in zip(*lengths, strict=True))


def test_validation_and_test_keep_every_pair_and_every_reference(files: Path) -> None:
    long = " ".join(["дом"] * 500)
    append(files, "test", "the " * 400, long)
    append(files, "test", "a", "дом вода свет окно мой новый дом и вода и свет")  # a ratio that training would refuse
    data = load(files, {"max_length": 50})
    assert data.test.pairs == 12
    assert data.test.targets[10] == long
    assert max(len(ids) for ids in data.test.target_ids + data.test.source_ids) == 50
    assert noted(data, "test: 1 sources and 1 targets of more than 50 tokens are cut for the model")


@pytest.mark.parametrize(("split", "name"), [("test", "test"), ("valid", "validation")])
def test_an_empty_side_in_an_evaluation_split_is_named(files: Path, split: str, name: str) -> None:
    append(files, split, "house", "")
    with pytest.raises(DataError, match=rf"1 pairs of the {name} split have an empty side \(line 11\)"):
        load(files)


def test_validation_is_split_off_where_there_is_none(tmp_path: Path) -> None:
    files = write_parallel(tmp_path, {"train": 60, "test": 10})
    data = load(files, validation=0.25)
    assert (data.train.pairs, data.validation.pairs) == (45, 15)
    lines = [*data.train.texts.lines, *data.validation.texts.lines]
    assert sorted(lines) == list(range(1, 61))
    assert noted(data, "validation: 25 % of the training pairs, seed 0")
    again, other = load(files, validation=0.25), load(files, validation=0.25, split_seed=1)
    assert again.validation.texts.lines.tolist() == data.validation.texts.lines.tolist()
    assert other.validation.texts.lines.tolist() != data.validation.texts.lines.tolist()
    none = load(files, validation=0.0)
    assert len(none.validation) == 0
    assert none.train.pairs == 60
    with pytest.raises(DataError, match=r"data\.validation: 0\.001 of 60 training pairs is none"):
        load(files, validation=0.001)


def test_limits_are_nested_seeded_choices(files: Path) -> None:
    small, large = load(files, limit_train=20, limit_test=4), load(files, limit_train=40)
    assert (small.train.pairs, small.test.pairs, small.validation.pairs) == (20, 4, 10)
    assert set(small.train.texts.lines) < set(large.train.texts.lines)
    assert noted(small, "limited to 20 of 60 training pairs")
    assert set(load(files, limit_train=20, split_seed=1).train.texts.lines) != set(small.train.texts.lines)
    assert load(files, limit_train=1000).train.pairs == 60


def test_lower_case_and_one_form_on_both_sides(files: Path) -> None:
    append(files, "test", "THE Cafe\u0301", "МОЙ ДОМ и\u0306")
    plain, lower = load(files), load(files, {"lowercase": True})
    assert (plain.test.sources[-1], plain.test.targets[-1]) == ("THE Café", "МОЙ ДОМ й")
    assert (lower.test.sources[-1], lower.test.targets[-1]) == ("the café", "мой дом й")
    assert lower.vocabulary.decode(lower.test.target_ids[-1].tolist()) == "мой дом й"
    assert noted(lower, "lower-cased")


def test_new_sentences_are_marked_by_their_source(files: Path) -> None:
    append(files, "train", "the green window is old", "окно")
    append(files, "test", "the green window is water", "вода вода вода")  # two of three trigrams
    append(files, "test", "nothing of this was there", "старый дом")
    data = load(files)
    assert data.test.novel is not None
    assert data.test.novel[-2:].tolist() == [False, True]
    assert noted(data, f"test: {int(data.test.novel.sum())} of 12 sentences")


def test_nothing_left(tmp_path: Path, files: Path) -> None:
    with pytest.raises(DataError, match=r"no training pair is left: \d+ of more than data\.text\.max_length 1 tokens"):
        load(files, {"max_length": 1})
    for split, reason in (("train", "no training pair has text on both sides"), ("test", "has no sentence pairs")):
        empty = write_parallel(tmp_path / split, {"train": 5, "test": 5})
        for language in ("en", "ru"):
            (empty / f"{split}.{language}").write_text("")
        with pytest.raises(DataError, match=reason):
            load(empty)


def test_impossible_settings(files: Path) -> None:
    with pytest.raises(DataError, match=r"data\.text\.vocabulary: 100 tokens are too few"):
        train_vocabulary(["one two"], 100)  # a configuration is refused before
    with pytest.raises(DataError, match="2 words are too few to track"):
        load(files, tokens=2)
    with pytest.raises(DataError, match="did you mean 'parallel_text'"):
        load_translation_data(section("paralell_text"))


def test_a_vocabulary_that_the_text_cannot_fill_is_noted(files: Path) -> None:
    data = load(files, {"vocabulary": 4000})
    assert data.num_outputs < 400
    assert noted(data, "(4,000 asked for, but the text has no more)")


def test_the_tokenizer_of_a_model(files: Path, tmp_path: Path) -> None:
    from tests.data.translation.test_pretrained import save

    data = load(files, {"tokenizer": str(save(tmp_path / "tokenizer", "bytes"))})
    assert noted(data, "vocabulary: that of")
    assert len(data.train.labels) == len(data.train)
    assert data.vocabulary.decode(data.test.target_ids[0].tolist()) == data.test.targets[0]


def test_the_embedded_sample() -> None:
    data = load_translation_data(section("translation_sample", {"vocabulary": 2000}, limit_train=3000))
    assert (data.train.pairs + data.left_out.total, data.validation.pairs, data.test.pairs) == (3000, 832, 872)
    assert data.num_outputs == 2000
    assert data.num_classes == 100
    assert noted(data, "not comparable with those of the paper")
    assert not set(data.classes) & set(ENGLISH)
    for split in (data.train, data.test):
        for ids, text in zip(split.target_ids, split.targets, strict=True):
            assert split is not data.train or data.vocabulary.decode(ids.tolist()) == text
