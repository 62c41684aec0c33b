"""Hugging Face data sets of translations: from the hub, or from a local folder."""

from __future__ import annotations

from typing import Any

from tosmooth.data.huggingface import load_dataset, split_names, splits_not_known
from tosmooth.data.translation.pairs import SentencePairs
from tosmooth.data.translation.registry import PairRequest, RawPairs, register_translation_source
from tosmooth.errors import DataError, did_you_mean

NAME = "huggingface_translation"
OPTIONS = ("dataset", "config", "feature", "train_split", "validation_split", "test_split")
READERS = ("json", "parquet")


@register_translation_source(NAME)
def huggingface_translation(request: PairRequest) -> RawPairs:
    """A data set by its hub name (`data.options.dataset`), or from `data.path`.

    A path holds a data set saved to disk, or files that the library reads. Options: dataset, config, feature (the
    column of translations, a text for each language; by default "translation"), train_split, validation_split,
    test_split. A split named validation serves as validation if there is a test split too, and as test otherwise.

    Raises:
        DataError: the library is missing, there is no such data set, split, column or language, or a row has no texts.
    """
    options = dict(request.options)
    unknown = [key for key in options if key not in OPTIONS]
    if unknown:
        raise DataError(f"data.options: unknown option {unknown[0]!r}; {did_you_mean(unknown[0], OPTIONS)}")
    path = request.path.expanduser() if request.path is not None else None
    found = load_dataset(options, path, source=NAME, extra="translation", readers=READERS)
    train, validation, test = split_names(found, options)
    if test is None:
        raise splits_not_known(found)
    column = str(options.get("feature", "translation"))

    def pairs(name: str) -> SentencePairs:
        return _pairs(found[name], column, name, request.source_language, request.target_language)

    return RawPairs(pairs(train), pairs(test), pairs(validation) if validation else None)


def _pairs(rows: Any, column: str, name: str, source: str, target: str) -> SentencePairs:
    origin = f"the {name} split of the data set"
    if column not in rows.column_names:
        raise DataError(
            f"data.options.feature: {origin} has no column {column!r}; {did_you_mean(column, rows.column_names)}"
        )
    sides: tuple[list[str], list[str]] = ([], [])
    for number, row in enumerate(rows[column], 1):
        if not isinstance(row, dict):
            raise DataError(
                f"data.options.feature: column {column!r} of {origin} holds {type(row).__name__} in row {number}; "
                "expected a text for each language"
            )
        for side, key, language in zip(sides, ("source_language", "target_language"), (source, target), strict=True):
            if language not in row:
                raise DataError(
                    f"data.text.{key}: {origin} has no language {language!r}; {did_you_mean(language, row)}"
                )
            text = row[language]
            if not isinstance(text, str | None):
                raise DataError(f"{origin}: row {number} has {type(text).__name__} for {language!r}; expected a text")
            side.append(text or "")
    return SentencePairs.of(*sides, origin)
