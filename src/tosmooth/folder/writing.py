"""JSON and tables, written whole or not at all, and what was written read again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from tosmooth.errors import StudyError
from tosmooth.files import write_text
from tosmooth.folder.paths import RECORD_FILE
from tosmooth.folder.remedies import made_again
from tosmooth.folder.sums import (
    FILES,
    OF_MODEL,
    check_model_file,
    opened,
    sealed,
    sums_in,
    sums_of_model,
    title_of,
    write_kept,
)
from tosmooth.untrusted import read_json

Content = TypeVar("Content", dict[str, Any], list[Any])


def write_json(path: Path, value: Any, *, model: str | None = None) -> None:
    """Write JSON in one step, an object with its own sum. NaN becomes null, so that any reader can read it.

    Args:
        path: the file.
        value: an object or a list.
        model: name of the teacher or student whose file of this name it is; None = no other has one.
    """
    value = plain(value)
    write_text(path, _text(sealed(value, title_of(path, model)) if isinstance(value, dict) else value))


def write_list(path: Path, value: list[Any]) -> None:
    """Write a JSON list in one step, its sum beside it."""
    write_kept(path.parent, {path.name: _text(plain(value)).encode()})


def _text(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV in one step, its sum beside it."""
    write_kept(path.parent, {path.name: table.to_csv(index=False).encode()})


def load_json(path: Path, kind: type[Content], remedy: str, *, model: str | None = None) -> Content:
    """What `write_json` wrote, without its sum.

    Args:
        path: the file.
        kind: dict or list.
        remedy: what a person can do where the file is damaged.
        model: as it was written.

    Raises:
        StudyError: it is.
    """
    try:
        found = read_json(path.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if isinstance(found, dict):
        found = opened(found, title_of(path, model))
    if not isinstance(found, kind):
        raise StudyError(f"{path} is damaged; {remedy}")
    return found


def read_record(folder: Path) -> dict[str, Any] | None:
    """The figures of a teacher or student that has ended, by column; None where it has not.

    Args:
        folder: of the model.

    Raises:
        StudyError: they are damaged.
    """
    path = folder / RECORD_FILE
    if not path.is_file():
        return None
    found = load_json(path, dict, made_again(folder), model=folder.name)
    return {key: value for key, value in found.items() if key != FILES}


def write_record(
    folder: Path, figures: Mapping[str, Any], renewed: Iterable[str] = OF_MODEL, *, name: str | None = None
) -> None:
    """Mark a model as ended: its figures, and the sums of its files, in one step.

    Args:
        folder: of the model.
        figures: by column.
        renewed: its files that were written since its last record; the sums of others stay as they were.
        name: of the folder, where it is to get another one.
    """
    path, renewed = folder / RECORD_FILE, set(renewed)
    known = {file: own[0] for file, own in sums_in(path, folder.name).items() if file.split("/")[0] not in renewed}
    sums = dict(sorted((known | sums_of_model(folder, renewed)).items()))
    write_json(path, {**figures, **({FILES: sums} if sums else {})}, model=name or folder.name)


def take_back_sums(folder: Path, names: Iterable[str]) -> None:
    """Let files of a finished model be written anew: until its next record they have no sum.

    Raises:
        StudyError: one of them, or the record, is damaged.
    """
    path, names = folder / RECORD_FILE, list(names)
    for name in names:
        check_model_file(folder / name)
    known = {file: own[0] for file, own in sums_in(path, folder.name).items()}
    if known.keys() & set(names):
        left = {file: own for file, own in known.items() if file not in names}
        write_json(path, {**(read_record(folder) or {}), FILES: left}, model=folder.name)


def plain(value: Any) -> Any:
    """The value as JSON can hold it: NaN becomes None, keys become texts, tuples lists."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and value != value else value
