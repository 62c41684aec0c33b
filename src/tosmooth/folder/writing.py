"""JSON and tables, written whole or not at all, and what was written read again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from tosmooth.errors import StudyError
from tosmooth.files import write_text
from tosmooth.folder.paths import RECORD_FILE
from tosmooth.untrusted import read_json

Content = TypeVar("Content", dict[str, Any], list[Any])


def write_json(path: Path, value: Any) -> None:
    """Write JSON in one step. NaN becomes null, so that any reader can read it."""
    write_text(path, json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n")


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV in one step."""
    write_text(path, table.to_csv(index=False))


def load_json(path: Path, kind: type[Content], remedy: str) -> Content:
    """What `write_json` wrote.

    Args:
        path: the file.
        kind: dict or list.
        remedy: what a person can do where the file is damaged.

    Raises:
        StudyError: it is.
    """
    try:
        found = read_json(path.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if not isinstance(found, kind):
        raise StudyError(f"{path} is damaged; {remedy}")
    return found


def read_record(folder: Path) -> dict[str, Any] | None:
    """The figures of a finished teacher or student, by column; None where it is not finished.

    Args:
        folder: of the model.

    Raises:
        StudyError: they are damaged.
    """
    path = folder / RECORD_FILE
    if not path.is_file():
        return None
    return load_json(path, dict, made_again(folder))


def made_again(folder: Path) -> str:
    """What to do where a file is lost that only training and measuring a model can make again."""
    return f"delete {folder}, and the next run of the study makes it again"


def plain(value: Any) -> Any:
    """The value as JSON can hold it: NaN becomes None, keys become texts, tuples lists."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and value != value else value
