from __future__ import annotations

from pathlib import Path

import pytest

from tosmooth.data.translation.pairs import SentencePairs
from tosmooth.data.translation.registry import (
    TRANSLATION_SOURCES,
    PairRequest,
    RawPairs,
    read_pairs,
    register_translation_source,
    translation_sources,
)
from tosmooth.errors import DataError


def test_the_sources_by_name() -> None:
    assert translation_sources() == ("huggingface_translation", "parallel_text", "translation_sample", "tsv")
    assert all(callable(TRANSLATION_SOURCES.find(name)) for name in translation_sources())


def test_an_unknown_source() -> None:
    with pytest.raises(DataError, match="'paralel_text'; did you mean 'parallel_text'"):
        read_pairs("paralel_text", PairRequest())


def test_a_source_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    translation_sources()  # all that come along are known
    monkeypatch.setattr(TRANSLATION_SOURCES, "_known", dict(TRANSLATION_SOURCES._known))
    pairs = SentencePairs.of(["a"], ["b"], "here")
    register_translation_source("mine")(lambda request: RawPairs(pairs, pairs, notes=(request.target_language,)))
    assert "mine" in translation_sources()
    assert read_pairs("mine", PairRequest(target_language="ru")).notes == ("ru",)
    with pytest.raises(DataError, match="'mine' is registered already"):
        register_translation_source("mine")(lambda request: RawPairs(pairs, pairs))


@pytest.mark.parametrize("source", ["parallel_text", "tsv"])
def test_sources_that_read_a_path_need_one_and_take_no_options(source: str) -> None:
    with pytest.raises(DataError, match=rf"data\.path: the source '{source}' needs one"):
        read_pairs(source, PairRequest())
    with pytest.raises(DataError, match=r"data\.options: .* takes none, got encoding"):
        read_pairs(source, PairRequest(path=Path(), options={"encoding": "utf-16"}))
