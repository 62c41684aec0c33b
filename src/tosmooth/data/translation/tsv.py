"""Sentence pairs in tab-separated files: one a split, or one with a column that names the split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tosmooth.data.translation.languages import names_side
from tosmooth.data.translation.lines import read_lines, text_file
from tosmooth.data.translation.pairs import SentencePairs
from tosmooth.data.translation.registry import PairRequest, RawPairs, register_translation_source
from tosmooth.errors import DataError

SPLITS = {"train": "train", "valid": "valid", "validation": "valid", "dev": "valid", "val": "valid", "test": "test"}
WIDTHS = (3, 4)  # of lines that name their split: split, (package,) source, target


@register_translation_source("tsv")
def tsv(request: PairRequest) -> RawPairs:
    """A folder with `train.tsv`, `test.tsv` and possibly `valid.tsv` (two columns), or one file for all splits.

    The columns are source and target. In one file for all splits, a first column says train, valid or test, and a
    column of notes may stand after it. A first line that names both sides (`en` and `de`, `English` and `German`,
    `source` and `target`) is a header and says which column is which. There is no quoting: a tab always ends a column.
    Files may be packed by gzip (`train.tsv.gz`).

    Raises:
        DataError: a file is missing, a line has another number of columns, or an unknown split; names the line.
    """
    request.no_options("tsv")
    path = request.need_path("tsv", "a folder with train.tsv and test.tsv, or one file with a column for the split")
    languages = (request.source_language, request.target_language)
    if path.is_file():
        return split_table(read_lines(path), str(path), languages)
    if not path.is_dir():
        raise DataError(f"{path}: no such file or folder")
    files = {name: file for name in SPLITS if (file := text_file(path / f"{name}.tsv")) is not None}
    found = {name: _two_columns(file, languages) for name, file in files.items()}
    for name in ("train", "test"):
        if name not in found:
            raise DataError(f"{path / name}.tsv: no such file; expected train.tsv, test.tsv and possibly valid.tsv")
    held_out = [name for name in found if SPLITS[name] == "valid"]
    if len(held_out) > 1:
        raise DataError(f"{path}: {' and '.join(f'{name}.tsv' for name in held_out)} both name validation; keep one")
    return RawPairs(found["train"], found["test"], found[held_out[0]] if held_out else None)


def _two_columns(path: Path, languages: tuple[str, str]) -> SentencePairs:
    rows = [line.split("\t") for line in read_lines(path)]
    order, first = _columns(rows, languages)
    for number, row in enumerate(rows[first:], first + 1):
        if len(row) != 2:
            raise DataError(f"{path}: line {number} has {_columns_in_words(row)}; expected 2, source and target")
    sources, targets = ([row[column] for row in rows[first:]] for column in order)
    return SentencePairs(tuple(sources), tuple(targets), str(path), np.arange(first + 1, len(rows) + 1, dtype=np.int64))


def split_table(lines: Sequence[str], name: str, languages: tuple[str, str]) -> RawPairs:
    """The splits of a table whose first column names the split and whose last two are source and target.

    Args:
        lines: of the table.
        name: of the file, for messages.
        languages: codes of source and target, by which a header is known.

    Raises:
        DataError: a line has another number of columns or an unknown split, or there is no line of train or test.
    """
    rows = [line.split("\t") for line in lines]
    order, first = _columns(rows, languages)
    width = len(rows[0]) if rows else 0
    if rows and width not in WIDTHS:
        raise DataError(
            f"{name}: line 1 has {_columns_in_words(rows[0])}; expected split, source and target (3), or split, notes, "
            "source and target (4)"
        )
    found: dict[str, tuple[list[str], list[str], list[int]]] = {
        part: ([], [], []) for part in ("train", "valid", "test")
    }
    for number, row in enumerate(rows[first:], first + 1):
        if len(row) != width:
            raise DataError(f"{name}: line {number} has {_columns_in_words(row)}; line 1 has {width}")
        if row[0] not in SPLITS:
            raise DataError(f"{name}: line {number} names the split {row[0]!r}; expected train, valid or test")
        sources, targets, numbers = found[SPLITS[row[0]]]
        sources.append(row[order[0]])
        targets.append(row[order[1]])
        numbers.append(number)
    for part in ("train", "test"):
        if not found[part][0]:
            raise DataError(f"{name}: no line of the split {part!r}; the first column must say train, valid or test")
    made = {
        part: SentencePairs(tuple(sources), tuple(targets), name, np.array(numbers, dtype=np.int64))
        for part, (sources, targets, numbers) in found.items()
    }
    return RawPairs(made["train"], made["test"], made["valid"] if len(made["valid"]) else None)


def _columns(rows: list[list[str]], languages: tuple[str, str]) -> tuple[tuple[int, int], int]:
    """Columns of source and target, counted from the end, and the first line that is no header."""
    if rows and len(rows[0]) >= 2:
        for source, target in ((-2, -1), (-1, -2)):
            if names_side(rows[0][source], 0, languages[0]) and names_side(rows[0][target], 1, languages[1]):
                return (source, target), 1
    return (-2, -1), 0


def _columns_in_words(row: list[str]) -> str:
    return "1 column" if len(row) == 1 else f"{len(row)} columns"
