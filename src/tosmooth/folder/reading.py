"""The files of a study's folder, read as if a stranger had written them: checked, and harmless to show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from tosmooth.errors import StudyError
from tosmooth.folder.columns import TEXT_COLUMNS, holds_numbers
from tosmooth.folder.remedies import remedy_of
from tosmooth.folder.sums import NOT_WRITTEN, check_kept, check_text, opened, title_of
from tosmooth.terminal import shown
from tosmooth.untrusted import UnreadableError, read_json, read_yaml

LONGEST_TEXT = 1000  # characters of a name or a sentence


def read_config(path: Path) -> dict[str, Any]:
    """The configuration of a study as a nested mapping, for display: it is not checked against the schema.

    Raises:
        StudyError: not a YAML mapping, not within bearable limits, or not what the study wrote.
    """
    try:
        text = path.read_text(encoding="utf-8")
        check_text(path, text)
        config = read_yaml(text)
    except UnicodeDecodeError as error:
        raise StudyError(f"{path} is not readable as YAML: {error}") from None
    except UnreadableError as error:
        raise StudyError(f"{path} {error}") from None
    if not isinstance(config, dict):
        raise StudyError(f"{path}: expected a mapping of keys to values, found {type(config).__name__}")
    safe: dict[str, Any] = harmless(config, lines=True)
    return safe


def read_table(path: Path) -> pd.DataFrame:
    """A CSV file; an empty frame where it is missing or empty.

    Raises:
        StudyError: not CSV, no numbers where numbers belong, or not what the study wrote.
    """
    check_kept(path)
    if not path.is_file() or path.stat().st_size <= 1:
        return pd.DataFrame()
    try:
        frame = pd.read_csv(path, keep_default_na=False, na_values=[""], dtype=dict.fromkeys(TEXT_COLUMNS, object))
    except (ValueError, UnicodeDecodeError) as error:
        raise StudyError(f"{path} is not readable as CSV: {' '.join(str(error).split())}") from None
    for column in filter(holds_numbers, map(str, frame.columns)):
        try:
            frame[column] = pd.to_numeric(frame[column])
        except (ValueError, TypeError, OverflowError):
            raise StudyError(f"{path}: the column {column!r} must hold numbers") from None
    for column in frame.columns:
        if column in TEXT_COLUMNS:
            frame[column] = frame[column].fillna("")
        if not pd.api.types.is_numeric_dtype(frame[column]):
            frame[column] = harmless(list(frame[column]))
    return frame.rename(columns=shown)


def read_unreadable(path: Path) -> list[str]:
    """The images that were left out, a line each with its reason; none where the file is missing.

    Raises:
        StudyError: not CSV.
    """
    table = read_table(path)
    return [str(image) for image in table["image"]] if "image" in table else []


def read_mapping(path: Path) -> dict[str, Any]:
    """A JSON object; an empty one where the file is missing.

    Raises:
        StudyError: not a JSON object, or not what the study wrote.
    """
    if not path.is_file():
        return {}
    try:
        value = read_json(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise StudyError(f"{path} is not readable as JSON: {error}") from None
    except UnreadableError as error:
        raise StudyError(f"{path} {error}") from None
    if not isinstance(value, dict):
        raise StudyError(f"{path}: expected a JSON object, found {type(value).__name__}")
    content = opened(value, title_of(path))
    if content is None:
        raise StudyError(f"{path} {NOT_WRITTEN}; {remedy_of(path)}")
    safe: dict[str, Any] = harmless(content)
    return safe


def harmless(value: Any, *, lines: bool = False) -> Any:
    """The same data; control and direction characters in its texts are written out, as on a terminal.

    In a page, a direction override in a class's name would turn the rest of the sentence round; a line end would break
    a table for LaTeX; and the library that draws the charts ends the whole process at a control character.
    """
    if isinstance(value, str):
        # Drawing a text takes time in proportion to its length; no name or sentence of ours is nearly as long.
        return shown(value if lines or len(value) <= LONGEST_TEXT else f"{value[:LONGEST_TEXT]}…", lines=lines)
    if isinstance(value, dict):
        return {harmless(key, lines=lines): harmless(item, lines=lines) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [harmless(item, lines=lines) for item in value]
    return value
