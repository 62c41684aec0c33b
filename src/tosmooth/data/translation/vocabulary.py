"""What a translation model's tokens are: numbers for pieces of text, the same ones on both sides."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tosmooth.data.translation.text import is_alphabetic, is_punctuation, normalised
from tosmooth.errors import DataError
from tosmooth.files import write_text
from tosmooth.untrusted import UnreadableError, read_json

FILE = "vocabulary.json"  # written last: a folder without it holds no vocabulary
INSTALL = 'pip install "tosmooth[translation]"'


class Piece(NamedTuple):
    """A token as text: without the space before it, and whether there is one."""

    text: str
    begins: bool


class Vocabulary(ABC):
    """The joint vocabulary of both languages.

    Texts are normalised before they are encoded (`text.normalised`), so what is decoded is the normalised text.

    Attributes:
        pad, start, eos, unk: ids of padding, of what a decoder begins with, of the end of a sentence, and of text that
            has no token. Some vocabularies use one id for several of them.
        size: K, the ids run from 0 to K − 1.
        lowercase: whether texts are lower-cased.
    """

    kind: ClassVar[str]

    def __init__(self, *, pad: int, start: int, eos: int, unk: int, size: int, lowercase: bool = False) -> None:
        self.pad, self.start, self.eos, self.unk = pad, start, eos, unk
        self.size, self.lowercase = size, lowercase

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Source sentences as token ids, each ending with `eos`."""
        return self._encode(self._normalised(texts), target=False)

    def encode_targets(self, texts: Sequence[str]) -> list[list[int]]:
        """Target sentences as token ids, each ending with `eos`; without the start token."""
        return self._encode(self._normalised(texts), target=True)

    @abstractmethod
    def decode(self, ids: Sequence[int]) -> str:
        """The text of a target: up to the first `eos`, padding and start left out."""

    def text_of(self, token: int) -> str:
        """One token, readable: a word's beginning stands without the space before it.

        Raises:
            IndexError: no such id.
        """
        return self.pieces[token].text

    def is_whole_word(self, token: int) -> bool:
        """Whether a token begins a word and is made of letters; the word may still go on with the next token."""
        return bool(self.words[token])

    def save(self, folder: Path) -> None:
        """Write it into a folder, for `load_vocabulary`.

        Raises:
            OSError: the folder cannot be written.
        """
        self._save(folder)
        write_text(folder / FILE, json.dumps({"kind": self.kind, **self._settings()}, indent=2) + "\n")

    @staticmethod
    def load(folder: Path) -> Vocabulary:
        """What was saved in a folder; see `load_vocabulary`."""
        return load_vocabulary(folder)

    def digest(self) -> str:
        """SHA-256 of all that a text's ids depend on."""
        return hashlib.sha256(f"{self.kind}\0{self._settings()}\0{self._content()}".encode()).hexdigest()

    @cached_property
    def pieces(self) -> list[Piece]:
        """All K tokens as text."""
        return [self._piece(token) for token in range(self.size)]

    @cached_property
    def words(self) -> NDArray[np.bool_]:
        """(K,) tokens that begin a word and are made of letters."""
        return self._where(lambda piece: piece.begins and is_alphabetic(piece.text))

    @cached_property
    def inner_letters(self) -> NDArray[np.bool_]:
        """(K,) tokens made of letters without a space before them."""
        return self._where(lambda piece: not piece.begins and is_alphabetic(piece.text))

    @cached_property
    def boundaries(self) -> NDArray[np.bool_]:
        """(K,) tokens before which a word has ended: those that begin another, punctuation, and `eos`."""
        found = self._where(lambda piece: piece.begins or is_punctuation(piece.text))
        found[self.eos] = True
        return found

    def _where(self, holds: Any) -> NDArray[np.bool_]:
        found = np.fromiter(map(holds, self.pieces), dtype=bool, count=self.size)
        found[[self.pad, self.start, self.eos, self.unk]] = False
        return found

    def _normalised(self, texts: Sequence[str]) -> list[str]:
        return [normalised(text, lowercase=self.lowercase) for text in texts]

    def _settings(self) -> dict[str, Any]:
        names = ("pad", "start", "eos", "unk", "size", "lowercase")
        return {name: getattr(self, name) for name in names}

    @abstractmethod
    def _encode(self, texts: list[str], *, target: bool) -> list[list[int]]:
        """Normalised texts as ids, each ending with `eos`."""

    @abstractmethod
    def _piece(self, token: int) -> Piece:
        """One token as text."""

    @abstractmethod
    def _content(self) -> str:
        """All that ids depend on, as text, for the digest."""

    @abstractmethod
    def _save(self, folder: Path) -> None:
        """Write what `vocabulary.json` does not hold."""


def load_vocabulary(folder: Path) -> Vocabulary:
    """A saved vocabulary.

    Raises:
        DataError: there is none, it is damaged, or its library is missing.
    """
    from tosmooth.data.translation.byte_pairs import BytePairVocabulary
    from tosmooth.data.translation.pretrained import PretrainedVocabulary

    kinds = {kind.kind: kind for kind in (BytePairVocabulary, PretrainedVocabulary)}
    path = folder / FILE
    try:
        settings = read_json(path.read_text(encoding="utf-8"))
        return kinds[settings.pop("kind")].read(folder, settings)
    except FileNotFoundError as error:
        raise DataError(f"{error.filename or path}: no such file; the folder holds no saved vocabulary") from None
    except (OSError, UnreadableError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: not a saved vocabulary: {type(error).__name__}: {error}") from None
