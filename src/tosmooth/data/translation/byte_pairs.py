"""A joint byte-pair vocabulary, trained on both sides of the training split (Sennrich et al., 2016, arXiv 1508.07909).

The pieces are made of bytes rather than characters: every text can be written with them, and read back unchanged, also
where it has letters that training never saw.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from tosmooth.data.translation.text import normalised
from tosmooth.data.translation.vocabulary import INSTALL, Piece, Vocabulary
from tosmooth.errors import DataError
from tosmooth.files import write_text

# Byte-level pieces cannot contain these brackets, so no text can be taken for a special token.
SPECIAL = ("⟨pad⟩", "⟨start⟩", "⟨eos⟩", "⟨unk⟩")
SMALLEST = len(SPECIAL) + 256
LONGEST_RUN = 500  # characters without a space that training looks at in one; its time grows with their square
LEAST_COUNT = 2  # what occurs once teaches nothing about its piece
FILE = "tokenizer.json"
# A word with the space before it, its combining marks within it; a number; a run of anything else.
PATTERN = r" ?[\p{L}\p{M}]+| ?\p{N}+| ?[^\s\p{L}\p{M}\p{N}]+|\s+"
_LONG_RUN = re.compile(rf"\S{{{LONGEST_RUN}}}(?=\S)")


def _library() -> Any:
    try:
        import tokenizers
    except ImportError:
        raise DataError(f"sentence pairs need the tokenizers library: {INSTALL}") from None
    return tokenizers


@contextmanager
def _one_thread() -> Iterator[None]:
    """No threads within the library: they would meet those of the other processes, and fork badly."""
    before = os.environ.get("TOKENIZERS_PARALLELISM")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ["TOKENIZERS_PARALLELISM"]
        else:
            os.environ["TOKENIZERS_PARALLELISM"] = before


@cache
def _bytes_by_character() -> dict[str, int]:
    """How byte-level pieces are spelt: printable bytes as themselves, the others as the letters left over, in order."""
    alphabet = set(_library().pre_tokenizers.ByteLevel.alphabet())
    itself = [byte for byte in range(256) if chr(byte) in alphabet]
    others = sorted(alphabet - {chr(byte) for byte in itself})
    return {chr(byte): byte for byte in itself} | dict(zip(others, sorted(set(range(256)) - set(itself)), strict=True))


class BytePairVocabulary(Vocabulary):
    """A trained byte-pair vocabulary; ids 0 to 3 are padding, start, end and unknown (which no text needs).

    Args:
        tokenizer: of the tokenizers library, as `train_vocabulary` makes it.
        lowercase: whether texts are lower-cased.
    """

    kind = "byte pairs"

    def __init__(self, tokenizer: Any, *, lowercase: bool = False) -> None:
        pad, start, eos, unk = range(len(SPECIAL))
        size = tokenizer.get_vocab_size()
        super().__init__(pad=pad, start=start, eos=eos, unk=unk, size=size, lowercase=lowercase)
        self._tokenizer = tokenizer
        spelt = _bytes_by_character()
        names = [tokenizer.id_to_token(token) for token in range(size)]
        if names[: len(SPECIAL)] != list(SPECIAL):
            raise ValueError(f"the first tokens are {names[: len(SPECIAL)]}, and not {', '.join(SPECIAL)}")
        self._bytes = [bytes(spelt[character] for character in name) for name in names[len(SPECIAL) :]]

    @classmethod
    def read(cls, folder: Path, settings: dict[str, Any]) -> BytePairVocabulary:
        """What `save` wrote.

        Raises:
            DataError: the file is damaged, or another one than was saved.
        """
        path = folder / FILE
        text = path.read_text(encoding="utf-8")
        try:
            tokenizer = _library().Tokenizer.from_str(text)
        except DataError:
            raise
        except Exception as error:  # the library raises nothing more special
            raise DataError(f"{path}: not a saved tokenizer: {error}") from None
        found = cls(tokenizer, lowercase=bool(settings["lowercase"]))
        if found._settings() != settings:
            raise DataError(f"{path}: another vocabulary than vocabulary.json beside it describes")
        return found

    def decode(self, ids: Sequence[int]) -> str:
        """The text; bytes that make no character (a model may put any together) become U+FFFD."""
        found = bytearray()
        for token in ids:
            if token == self.eos:
                break
            if token >= len(SPECIAL):
                found += self._bytes[token - len(SPECIAL)]
        return found.decode("utf-8", errors="replace").strip()

    def _encode(self, texts: list[str], *, target: bool) -> list[list[int]]:
        # Every word has a space before it, the first one too: a word is the same token wherever it stands.
        with _one_thread():
            found = self._tokenizer.encode_batch([f" {text}" if text else "" for text in texts])
        return [[*encoding.ids, self.eos] for encoding in found]

    def _piece(self, token: int) -> Piece:
        if token < len(SPECIAL):
            return Piece(SPECIAL[token], False)
        content = self._bytes[token - len(SPECIAL)]
        begins = content.startswith(b" ")
        content = content.removeprefix(b" ")
        try:
            text = content.decode()
        except UnicodeDecodeError:  # a part of a character
            return Piece(f"⟨{content.hex(' ')}⟩", begins)
        return Piece(text or "⟨space⟩", begins)

    def _content(self) -> str:
        text: str = self._tokenizer.to_str()
        return text

    def _save(self, folder: Path) -> None:
        write_text(folder / FILE, self._tokenizer.to_str())


def _cut(text: str) -> str:
    """A text in which no run of characters is longer than `LONGEST_RUN`."""
    return _LONG_RUN.sub(r"\g<0> ", text)


def train_vocabulary(texts: Iterable[str], size: int, *, lowercase: bool = False) -> BytePairVocabulary:
    """A joint vocabulary; the same texts in the same order give the same one.

    Args:
        texts: of both sides.
        size: K, at least 260: four special tokens and the 256 bytes. Texts with too few pairs give a smaller one.
        lowercase: lower-case them, and all that is encoded later.

    Raises:
        DataError: a size below 260, or the tokenizers library is missing.
    """
    if size < SMALLEST:
        raise DataError(
            f"data.text.vocabulary: {size} tokens are too few; give at least {SMALLEST} (256 bytes and "
            f"{len(SPECIAL)} special tokens)"
        )
    library = _library()
    tokenizer = library.Tokenizer(library.models.BPE())
    tokenizer.pre_tokenizer = library.pre_tokenizers.Sequence(
        [
            library.pre_tokenizers.Split(library.Regex(PATTERN), behavior="isolated"),
            library.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = library.decoders.ByteLevel()
    trainer = library.trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=LEAST_COUNT,
        special_tokens=list(SPECIAL),
        initial_alphabet=library.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    with _one_thread():
        tokenizer.train_from_iterator((f" {_cut(normalised(text, lowercase=lowercase))}" for text in texts), trainer)
    # As plain tokens: the library would look for special ones in every text.
    plain = json.loads(tokenizer.to_str()) | {"added_tokens": []}
    return BytePairVocabulary(library.Tokenizer.from_str(json.dumps(plain)), lowercase=lowercase)
