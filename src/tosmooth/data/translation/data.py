"""The data of a translation study: three splits, the joint vocabulary, and the tracked target words."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from tosmooth.data.translation.byte_pairs import train_vocabulary
from tosmooth.data.translation.languages import bleu_tokeniser, is_unspaced
from tosmooth.data.translation.pairs import LeftOut, SentencePairs, fitting
from tosmooth.data.translation.pretrained import load_pretrained
from tosmooth.data.translation.registry import PairRequest, read_pairs
from tosmooth.data.translation.split import TokenSplit
from tosmooth.data.translation.text import novel
from tosmooth.data.translation.vocabulary import Vocabulary
from tosmooth.data.translation.words import frequent_words, is_without_spaces
from tosmooth.errors import DataError

if TYPE_CHECKING:
    from tosmooth.data.translation.config import TextConfig, TranslationDataConfig


@dataclass(frozen=True)
class TranslationData:
    """Train, validation and test: three things. Validation may be empty.

    Attributes:
        source: name of the data source.
        classes: C target words, those that centroids are tracked of.
        class_outputs: (C,) int64, their vocabulary ids.
        num_outputs: K, the size of the vocabulary.
        left_out: what cleaning took from training; validation and test keep every pair.
        fingerprint: SHA-256 of all texts and tokens, and of the classes.
        notes: how the splits were made, in words for the report.
        superclasses: words have none.
        unread: those of the notes that say what was not read of the source.
    """

    source: str
    classes: tuple[str, ...]
    class_outputs: Tensor
    num_outputs: int
    train: TokenSplit
    validation: TokenSplit
    test: TokenSplit
    vocabulary: Vocabulary
    source_language: str
    target_language: str
    left_out: LeftOut
    fingerprint: str
    notes: tuple[str, ...]
    superclasses: tuple[str, ...] | None = None
    unread: tuple[str, ...] = ()

    @property
    def num_classes(self) -> int:
        """C."""
        return len(self.classes)


def load_translation_data(section: TranslationDataConfig, tokens: int = 100) -> TranslationData:
    """Load sentence pairs, clean the training split, make the vocabulary and encode everything.

    Only training is cleaned, and only its beginning limited: validation and test keep every pair and every reference.
    A validation or test sentence of more than `max_length` tokens is cut for the model (its teacher-forced tokens, or
    the source it translates), as models have a longest input; BLEU compares with the whole reference.

    Args:
        section: the data section of a configuration.
        tokens: C, how many frequent target words are tracked.

    Raises:
        DataError: unknown source, missing or malformed files, nothing left after cleaning, a vocabulary that cannot be
            made, fewer than 3 words to track.
    """
    text = section.text
    request = PairRequest(section.path, section.download, section.options, text.source_language, text.target_language)
    raw = read_pairs(section.source, request)
    notes = list(raw.notes)
    whole, test = (pairs.normalised(lowercase=text.lowercase) for pairs in (raw.train, raw.test))
    if text.lowercase:
        notes.append("both sides are lower-cased, references too: BLEU is that of lower-cased text")
    train = whole.select(whole.filled())
    empty = len(whole) - len(train)
    if not len(train):
        raise DataError(f"{whole.origin}: no training pair has text on both sides ({len(whole)} pairs)")
    if not len(test):
        raise DataError(f"{test.origin}: the test split has no sentence pairs")
    train = _limited(train, "limit_train", section.limit_train, section.split_seed, notes, "training")
    test = _limited(test, "limit_test", section.limit_test, section.split_seed, notes, "test")
    if raw.validation is not None:
        validation = raw.validation.normalised(lowercase=text.lowercase)
        notes.append("validation: the source's own split")
        most, seed = section.limit_validation, section.split_seed
        validation = _limited(validation, "limit_validation", most, seed, notes, "validation")
    else:
        train, validation = _split_off(train, section.validation, section.split_seed)
        notes.append(
            f"validation: {100 * section.validation:g} % of the training pairs, seed {section.split_seed}"
            if section.validation
            else "validation: none (data.validation: 0)"
        )
    validation.check_filled("validation")
    test.check_filled("test")
    vocabulary = _vocabulary(text, train, notes)
    trained, left_out = _cleaned(train, vocabulary, text, empty)
    if left_out.total:
        notes.append(
            f"training: {left_out.total:,} of {len(train) + empty:,} pairs left out: {left_out.empty:,} with an empty "
            f"side, {left_out.too_long:,} of more than {text.max_length} tokens, {left_out.ratio:,} whose sides differ "
            f"in length by more than {text.max_ratio:g} times"
        )
    held_out, tested = (
        _evaluated(pairs, vocabulary, text, name, trained, notes)
        for name, pairs in (("validation", validation), ("test", test))
    )
    class_outputs = frequent_words(trained, tokens, unspaced=is_unspaced(text.target_language))
    classes = tuple(vocabulary.text_of(token) for token in class_outputs.tolist())
    covered = np.isin(trained.labels.numpy(), class_outputs.numpy()).mean()
    by_letters = is_unspaced(text.target_language) and is_without_spaces(trained)
    kind = "tokens of letters, as nothing parts words" if by_letters else "words that are one token"
    notes.append(
        f"classes: the {len(classes)} most frequent target {kind}; {100 * covered:.0f} % of the training tokens"
    )
    if (tokeniser := bleu_tokeniser(text.target_language)) != "13a":
        notes.append(f"BLEU counts tokens of sacrebleu's {tokeniser}, which is for {text.target_language}")
    # Another way of counting BLEU is another study; 13a was all that there was.
    parts = [text.source_language, text.target_language, *([] if tokeniser == "13a" else [tokeniser]), *classes]
    parts += [split.digest() for split in (trained, held_out, tested)]
    return TranslationData(
        source=section.source,
        classes=classes,
        class_outputs=class_outputs,
        num_outputs=vocabulary.size,
        train=trained,
        validation=held_out,
        test=tested,
        vocabulary=vocabulary,
        source_language=text.source_language,
        target_language=text.target_language,
        left_out=left_out,
        fingerprint=hashlib.sha256("\0".join(parts).encode()).hexdigest(),
        notes=tuple(notes),
    )


def _chosen(count: int, limit: int, seed: int) -> np.ndarray:
    """The first `limit` of a seeded order, so that a smaller choice lies within a larger one; in the split's order."""
    return np.sort(np.random.default_rng(seed).permutation(count)[:limit])


def _limited(
    pairs: SentencePairs, option: str, limit: int | None, seed: int, notes: list[str], name: str
) -> SentencePairs:
    if limit is not None and limit < 1:
        raise DataError(f"data.{option}: {limit} is not a number of sentence pairs; give 1 or more, or null for all")
    if limit is None or limit >= len(pairs):
        return pairs
    notes.append(f"limited to {limit:,} of {len(pairs):,} {name} pairs, a seeded choice")
    return pairs.select(_chosen(len(pairs), limit, seed))


def _split_off(pairs: SentencePairs, share: float, seed: int) -> tuple[SentencePairs, SentencePairs]:
    """The rest, and the part split off."""
    if not 0 <= share < 1:
        raise DataError(f"data.validation: {share:g} is not a share of training; give 0 (none) up to below 1")
    count = round(share * len(pairs))
    if share > 0 and not 0 < count < len(pairs):
        what = "none" if count == 0 else "all"
        raise DataError(f"data.validation: {share:g} of {len(pairs)} training pairs is {what}; change it")
    part = _chosen(len(pairs), count, seed)
    return pairs.select(np.setdiff1d(np.arange(len(pairs)), part)), pairs.select(part)


def _vocabulary(text: TextConfig, train: SentencePairs, notes: list[str]) -> Vocabulary:
    if text.tokenizer is not None:
        notes.append(f"vocabulary: that of {text.tokenizer}")
        return load_pretrained(text.tokenizer, lowercase=text.lowercase)
    found = train_vocabulary(chain(train.sources, train.targets), text.vocabulary, lowercase=text.lowercase)
    asked = "" if found.size == text.vocabulary else f" ({text.vocabulary:,} asked for, but the text has no more)"
    notes.append(f"vocabulary: {found.size:,} byte-pair tokens{asked}, trained on both sides of the training split")
    return found


def _cleaned(pairs: SentencePairs, vocabulary: Vocabulary, text: TextConfig, empty: int) -> tuple[TokenSplit, LeftOut]:
    sources, targets = vocabulary.encode(pairs.sources), vocabulary.encode_targets(pairs.targets)
    source_lengths, target_lengths = (np.array([len(ids) for ids in side], np.int64) for side in (sources, targets))
    keep, too_long, ratio = fitting(source_lengths, target_lengths, text.max_length, text.max_ratio)
    left_out = LeftOut(empty, too_long, ratio)
    kept = np.flatnonzero(keep)
    if not len(kept):
        raise DataError(
            f"{pairs.origin}: no training pair is left: {too_long} of more than data.text.max_length {text.max_length} "
            f"tokens, {ratio} whose sides differ by more than data.text.max_ratio {text.max_ratio:g}"
        )
    split = TokenSplit(
        pairs.select(kept),
        vocabulary,
        "training",
        source_ids=[sources[i] for i in kept],
        target_ids=[targets[i] for i in kept],
    )
    return split, left_out


def _evaluated(
    pairs: SentencePairs, vocabulary: Vocabulary, text: TextConfig, name: str, train: TokenSplit, notes: list[str]
) -> TokenSplit:
    """A split that scores are taken on: every pair, and which of them are new."""
    unspaced = is_unspaced(text.source_language)
    new = novel(pairs.sources, train.sources, unspaced=unspaced)
    found = TokenSplit(pairs, vocabulary, name, max_length=text.max_length, novel=new)
    if found.cut_sources or found.cut_targets:
        notes.append(
            f"{name}: {found.cut_sources:,} sources and {found.cut_targets:,} targets of more than {text.max_length} "
            "tokens are cut for the model; BLEU compares with the whole reference"
        )
    if len(pairs):
        notes.append(
            f"{name}: {int(new.sum()):,} of {len(pairs):,} sentences ({100 * new.mean():.0f} %) are new: less than "
            f"half of the source's {'letter' if unspaced else 'word'} trigrams occur in training"
        )
    return found
