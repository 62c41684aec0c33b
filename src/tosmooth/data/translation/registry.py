"""Sources of sentence pairs by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tosmooth.data.registry import SourceRequest
from tosmooth.data.translation.pairs import SentencePairs
from tosmooth.errors import DataError
from tosmooth.registry import Registry


@dataclass(frozen=True)
class PairRequest(SourceRequest):
    """What a source function is asked for; languages are codes such as "en"."""

    source_language: str = "en"
    target_language: str = "de"


@dataclass(frozen=True)
class RawPairs:
    """What a source function returns: splits as the source has them, before validation is split off."""

    train: SentencePairs
    test: SentencePairs
    validation: SentencePairs | None = None
    notes: tuple[str, ...] = ()


PairFunction = Callable[[PairRequest], RawPairs]
_MODULES = {
    "huggingface_translation": "huggingface_pairs",
    "parallel_text": "parallel_text",
    "translation_sample": "sample",
    "tsv": "tsv",
}
TRANSLATION_SOURCES: Registry[PairFunction] = Registry(
    "translation_sources",
    "source of sentence pairs",
    DataError,
    modules={name: f"tosmooth.data.translation.{module}" for name, module in _MODULES.items()},
)


def register_translation_source(name: str) -> Callable[[PairFunction], PairFunction]:
    """Make a source known by name: a function from a `PairRequest` to `RawPairs`.

    Raises:
        DataError: the name is taken.
    """

    def register(function: PairFunction) -> PairFunction:
        TRANSLATION_SOURCES.add(name, function)
        return function

    return register


def translation_sources() -> tuple[str, ...]:
    """Names of all sources of sentence pairs and of those that packages add, sorted."""
    return TRANSLATION_SOURCES.names()


def read_pairs(source: str, request: PairRequest) -> RawPairs:
    """The pairs of a source.

    Raises:
        DataError: unknown source, or missing or malformed data.
        PluginError: a package adds it, and cannot be used.
    """
    return TRANSLATION_SOURCES.find(source)(request)
