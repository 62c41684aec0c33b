"""The vocabulary of a pretrained translation model: a Hugging Face tokenizer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from tosmooth.data.translation.vocabulary import INSTALL, Piece, Vocabulary
from tosmooth.errors import DataError

FOLDER = "tokenizer"
WORD_MARKS = ("▁", "Ġ")  # before a word: SentencePiece and byte-level tokenizers
INSIDE_MARK = "##"  # before a piece that goes on with a word: WordPiece


class PretrainedVocabulary(Vocabulary):
    """A Hugging Face tokenizer for one pair of languages.

    Args:
        tokenizer: the library's object.
        start: what the model's decoder begins with.
        size: K, logits of the model; at least the tokenizer's own number of tokens.
        lowercase: whether texts are lower-cased before the tokenizer sees them.
    """

    kind = "pretrained"

    def __init__(self, tokenizer: Any, *, start: int, size: int, lowercase: bool = False) -> None:
        pad, eos, unk = (getattr(tokenizer, f"{name}_token_id") for name in ("pad", "eos", "unk"))
        for name, token in (("padding", pad), ("end-of-sentence", eos)):
            if token is None:
                raise DataError(
                    f"data.text.tokenizer: {tokenizer.name_or_path!r} has no {name} token; use the tokenizer of an "
                    "encoder-decoder translation model"
                )
        super().__init__(pad=pad, start=start, eos=eos, unk=pad if unk is None else unk, size=size, lowercase=lowercase)
        self._tokenizer = tokenizer

    @classmethod
    def read(cls, folder: Path, settings: dict[str, Any]) -> PretrainedVocabulary:
        """What `save` wrote."""
        found = load_pretrained(
            str(folder / FOLDER), lowercase=bool(settings["lowercase"]), start=settings["start"], size=settings["size"]
        )
        if found._settings() != settings:
            raise DataError(f"{folder / FOLDER}: another vocabulary than vocabulary.json beside it describes")
        return found

    def decode(self, ids: Sequence[int]) -> str:
        """The text as the tokenizer puts it together."""
        kept: list[int] = []
        for token in ids:
            # Some decoders begin with the end token: then a first one ends nothing.
            if token == self.eos and (kept or token != self.start):
                break
            if token < len(self._tokenizer) and token not in (self.pad, self.start):
                kept.append(int(token))
        text: str = self._tokenizer.decode(kept, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text.strip()

    def _encode(self, texts: list[str], *, target: bool) -> list[list[int]]:
        if not texts:
            return []
        # Tokenizers with a vocabulary for each side know the target's by its argument.
        given = {"text_target": texts} if target else {"text": texts}
        found = self._tokenizer(**given, padding=False, truncation=False, verbose=False)["input_ids"]
        return [ids if ids and ids[-1] == self.eos else [*ids, self.eos] for ids in found]

    @cached_property
    def _marks(self) -> tuple[str | None, bool]:
        """The mark before words, if it has one; and whether it marks the pieces inside of words instead."""
        names = self._tokenizer.get_vocab()
        counts = {mark: sum(name.startswith(mark) for name in names) for mark in (*WORD_MARKS, INSIDE_MARK)}
        mark = max(counts, key=lambda key: counts[key])
        return (None, False) if not counts[mark] else (None, True) if mark == INSIDE_MARK else (mark, False)

    def _piece(self, token: int) -> Piece:
        if token >= len(self._tokenizer):  # the model has more logits than the tokenizer has tokens
            return Piece(f"⟨{token}⟩", False)
        name = self._tokenizer.convert_ids_to_tokens(token)
        if name is None:
            return Piece(f"⟨{token}⟩", False)
        mark, inside = self._marks
        if token in self._special:
            return Piece(name, False)
        if inside:
            return Piece(name.removeprefix(INSIDE_MARK), not name.startswith(INSIDE_MARK))
        begins = mark is not None and name.startswith(mark)
        if mark == "Ġ":  # bytes spelt as letters, which only the tokenizer itself can read
            text = self._tokenizer.decode([token], skip_special_tokens=False, clean_up_tokenization_spaces=False)
            return Piece(text.strip() or name, begins)
        return Piece(name.removeprefix(mark) or name if mark else name, begins)

    @cached_property
    def _special(self) -> frozenset[int]:
        return frozenset(self._tokenizer.all_special_ids)

    def _content(self) -> str:
        fast = getattr(self._tokenizer, "backend_tokenizer", None)
        name = type(self._tokenizer).__name__
        if fast is not None:
            return f"{name}\0{fast.to_str()}"
        # A tokenizer in Python: its vocabulary, and how it cuts a text that has a bit of everything.
        probe = self._tokenizer("Aa Bb-Cc, 12.5 % “äß” дй!", add_special_tokens=True)["input_ids"]
        return f"{name}\0{json.dumps(self._tokenizer.get_vocab(), sort_keys=True)}\0{probe}"

    def _save(self, folder: Path) -> None:
        self._tokenizer.save_pretrained(str(folder / FOLDER))


def load_pretrained(
    name: str, *, lowercase: bool = False, start: int | None = None, size: int | None = None
) -> PretrainedVocabulary:
    """A tokenizer from the hub or a local folder, with the start token and the size of the model it belongs to.

    Args:
        name: hub id or folder.
        lowercase: lower-case all texts.
        start: what the decoder begins with; None: as the model's configuration beside the tokenizer says, else its
            beginning-of-sentence token, else its padding.
        size: K; None: as that configuration says, else the number of tokens.

    Raises:
        DataError: it cannot be loaded, has no padding or end token, or is one for many languages.
    """
    try:
        import transformers
    except ImportError:
        raise DataError(f"data.text.tokenizer needs the transformers library: {INSTALL}") from None
    local = str(Path(name).expanduser()) if Path(name).expanduser().is_dir() else name
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(local, trust_remote_code=False)
    except Exception as error:  # the library raises its own, the network's, and those of missing libraries
        reason = str(error).strip().partition("\n")[0]
        raise DataError(f"data.text.tokenizer: {name!r} cannot be loaded: {type(error).__name__}: {reason}") from None
    if getattr(tokenizer, "src_lang", None) is not None:
        raise DataError(
            f"data.text.tokenizer: {name!r} is one for many languages, which need a language token in each sentence; "
            "use a tokenizer of one pair of languages, such as Helsinki-NLP/opus-mt-en-de"
        )
    if start is None or size is None:
        try:
            model = transformers.AutoConfig.from_pretrained(local, trust_remote_code=False).to_dict()
        except Exception:  # a tokenizer without a model beside it
            model = {}
        usual = next((t for t in (tokenizer.bos_token_id, tokenizer.pad_token_id) if t is not None), 0)
        configured = model.get("decoder_start_token_id")
        start = (usual if configured is None else configured) if start is None else start
        size = (model.get("vocab_size") or len(tokenizer)) if size is None else size
    if size < len(tokenizer):
        raise DataError(
            f"data.text.tokenizer: {name!r} has {len(tokenizer):,} tokens, but its model only {size:,} outputs; "
            "they do not belong together"
        )
    return PretrainedVocabulary(tokenizer, start=start, size=size, lowercase=lowercase)
