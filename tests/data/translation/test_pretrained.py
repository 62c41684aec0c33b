from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tosmooth.data.translation.pretrained import load_pretrained
from tosmooth.data.translation.vocabulary import load_vocabulary
from tosmooth.errors import DataError

tokenizers = pytest.importorskip("tokenizers")
transformers = pytest.importorskip("transformers")

TEXTS = ["the old house", "старый дом и вода", "the light, water"] * 3
SPECIAL = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}


def save(folder: Path, style: str = "metaspace", model: dict[str, Any] | None = None, **special: str | None) -> Path:
    """A real tokenizer of the library, trained and saved without a network."""
    names = {**SPECIAL, **special}
    made = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="<unk>"))
    alphabet: list[str] = []
    if style == "metaspace":
        made.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
        made.decoder = tokenizers.decoders.Metaspace()
    else:
        made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=True)
        made.decoder = tokenizers.decoders.ByteLevel()
        alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=[name for name in names.values() if name],
        initial_alphabet=alphabet,
        show_progress=False,
    )
    made.train_from_iterator(TEXTS, trainer)
    found = transformers.PreTrainedTokenizerFast(tokenizer_object=made, **{k: v for k, v in names.items() if v})
    found.save_pretrained(str(folder))
    if model is not None:
        (folder / "config.json").write_text(json.dumps({"model_type": "marian", **model}))
    return folder


@pytest.mark.parametrize("style", ["metaspace", "bytes"])
def test_a_tokenizer_of_the_library(tmp_path: Path, style: str) -> None:
    vocabulary = load_pretrained(str(save(tmp_path, style)))
    assert len({vocabulary.pad, vocabulary.eos, vocabulary.unk}) == 3
    source, target = vocabulary.encode(["the house"])[0], vocabulary.encode_targets(["старый дом"])[0]
    assert source[-1] == target[-1] == vocabulary.eos
    assert target.count(vocabulary.eos) == 1
    assert vocabulary.decode(target) == "старый дом"
    assert vocabulary.decode([vocabulary.start, *target, vocabulary.pad, *source]) == "старый дом"
    assert [vocabulary.text_of(token) for token in target[:-1]] == ["старый", "дом"]
    assert all(vocabulary.is_whole_word(token) for token in target[:-1])
    assert not vocabulary.is_whole_word(vocabulary.eos)
    assert vocabulary.encode([]) == []


def test_the_model_beside_it_says_how_the_decoder_begins_and_how_many_outputs_there_are(tmp_path: Path) -> None:
    alone = load_pretrained(str(save(tmp_path / "a")))
    assert alone.start == alone.pad  # as Marian's
    beside = load_pretrained(str(save(tmp_path / "b", model={"decoder_start_token_id": 2, "vocab_size": 500})))
    assert (beside.start, beside.size) == (2, 500)
    assert beside.text_of(499) == "⟨499⟩"
    assert not beside.is_whole_word(499)
    assert beside.decode([499, 5, beside.eos]) == beside.decode([5])
    with pytest.raises(DataError, match="its model only 10 outputs; they do not belong together"):
        load_pretrained(str(save(tmp_path / "c", model={"vocab_size": 10})))


def test_a_decoder_that_begins_with_the_end_token(tmp_path: Path) -> None:
    vocabulary = load_pretrained(str(save(tmp_path, model={"decoder_start_token_id": 1, "vocab_size": 500})))
    assert vocabulary.start == vocabulary.eos == 1
    ids = vocabulary.encode_targets(["дом"])[0]
    assert vocabulary.decode([1, *ids, *ids]) == "дом"
    assert vocabulary.decode([1, 1]) == ""


def test_saved_and_loaded(tmp_path: Path) -> None:
    vocabulary = load_pretrained(str(save(tmp_path / "a")), lowercase=True, start=2, size=450)
    vocabulary.save(tmp_path / "b")
    again = load_vocabulary(tmp_path / "b")
    assert again.digest() == vocabulary.digest()
    assert again.encode(["THE House"]) == vocabulary.encode(["the house"])
    assert (again.start, again.size) == (2, 450)
    assert load_pretrained(str(tmp_path / "a")).digest() != vocabulary.digest()


def test_tokenizers_that_cannot_serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="has no padding token"):
        load_pretrained(str(save(tmp_path / "a", pad_token=None)))
    with pytest.raises(DataError, match="has no end-of-sentence token"):
        load_pretrained(str(save(tmp_path / "b", eos_token=None)))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"data\.text\.tokenizer: .*empty' cannot be loaded: .*") as caught:
        load_pretrained(str(tmp_path / "empty"))
    assert "\n" not in str(caught.value)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(DataError, match=r'pip install "tosmooth\[translation\]"'):
        load_pretrained(str(tmp_path / "a"))
