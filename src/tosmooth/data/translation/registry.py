"""Sources of sentence pairs by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from tosmooth import plugins
from tosmooth.data.registry import SourceRequest
from tosmooth.data.translation.pairs import SentencePairs
from tosmooth.errors import DataError, did_you_mean


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
_SOURCES: dict[str, PairFunction] = {}
# Imported on first use; each registers its source.
_BUILT_IN = ("sample", "parallel_text", "tsv", "huggingface_pairs")


def register_translation_source(name: str) -> Callable[[PairFunction], PairFunction]:
    """Make a source known by name: a function from a `PairRequest` to `RawPairs`.

    Raises:
        DataError: the name is taken.
    """

    def register(function: PairFunction) -> PairFunction:
        if name in _SOURCES:
            raise DataError(f"data source {name!r} is registered already")
        _SOURCES[name] = function
        return function

    return register


def _sources() -> dict[str, PairFunction]:
    for module in _BUILT_IN:
        import_module(f"tosmooth.data.translation.{module}")
    return _SOURCES


def translation_sources() -> tuple[str, ...]:
    """Names of all sources of sentence pairs and of those that packages add, sorted."""
    return tuple(sorted({*_sources(), *plugins.names("translation_sources")}))


def read_pairs(source: str, request: PairRequest) -> RawPairs:
    """The pairs of a source.

    Raises:
        DataError: unknown source, or missing or malformed data.
        PluginError: a package adds it, and cannot be used.
    """
    return find_translation_source(source)(request)


def find_translation_source(source: str) -> PairFunction:
    """The function of a source.

    Raises:
        DataError: there is none of that name.
        PluginError: a package adds it, and cannot be used.
    """
    if source not in _sources() and (added := plugins.load_function("translation_sources", source)) is not None:
        _SOURCES[source] = added
    if source not in _SOURCES:
        raise DataError(f"unknown source of sentence pairs {source!r}; {did_you_mean(source, translation_sources())}")
    return _SOURCES[source]
