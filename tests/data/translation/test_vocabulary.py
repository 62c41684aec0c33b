from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.data.translation.toy import pairs_of, vocabulary_of
from tosmooth.data.translation.byte_pairs import train_vocabulary
from tosmooth.data.translation.vocabulary import load_vocabulary
from tosmooth.errors import DataError


def test_saved_and_loaded_it_gives_the_same_ids(tmp_path: Path) -> None:
    vocabulary = train_vocabulary(["Das Haus", "дом"] * 3, 300, lowercase=True)
    vocabulary.save(tmp_path / "v")
    again = load_vocabulary(tmp_path / "v")
    assert again.digest() == vocabulary.digest()
    assert again.encode(["DAS Haus, дом"]) == vocabulary.encode(["das haus, дом"])
    assert (again.pad, again.start, again.eos, again.unk, again.size) == (0, 1, 2, 3, vocabulary.size)


def test_the_digest_tells_vocabularies_apart() -> None:
    texts = ["das Haus ist alt"] * 3
    plain, lower = train_vocabulary(texts, 300), train_vocabulary(texts, 300, lowercase=True)
    assert len({plain.digest(), lower.digest(), train_vocabulary(texts, 265).digest()}) == 3
    assert plain.digest() == train_vocabulary(texts, 300).digest()


def test_nothing_or_something_else_was_saved(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"vocabulary\.json: no such file; the folder holds no saved vocabulary"):
        load_vocabulary(tmp_path)
    (tmp_path / "vocabulary.json").write_text('{"kind": "letters"}')
    with pytest.raises(DataError, match="not a saved vocabulary: KeyError: 'letters'"):
        load_vocabulary(tmp_path)
    (tmp_path / "vocabulary.json").write_text("[")
    with pytest.raises(DataError, match="not a saved vocabulary"):
        load_vocabulary(tmp_path)


def test_a_damaged_or_exchanged_tokenizer(tmp_path: Path) -> None:
    vocabulary = vocabulary_of(pairs_of())
    vocabulary.save(tmp_path)
    whole = (tmp_path / "tokenizer.json").read_text()
    (tmp_path / "tokenizer.json").write_text(whole[:500])
    with pytest.raises(DataError, match=r"tokenizer\.json: not a saved tokenizer"):
        load_vocabulary(tmp_path)
    (tmp_path / "tokenizer.json").write_text(whole)
    settings = json.loads((tmp_path / "vocabulary.json").read_text())
    (tmp_path / "vocabulary.json").write_text(json.dumps(settings | {"size": 4000}))
    with pytest.raises(DataError, match=r"another vocabulary than vocabulary\.json"):
        load_vocabulary(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(DataError, match=r"tokenizer\.json: no such file"):
        load_vocabulary(tmp_path)


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(DataError, match=r'pip install "tosmooth\[translation\]"'):
        train_vocabulary(["a"], 300)
