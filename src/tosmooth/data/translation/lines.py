"""Text files, line by line, with errors that name the line."""

from __future__ import annotations

import codecs
from pathlib import Path

from tosmooth.errors import DataError


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 file.

    Raises:
        DataError: the file cannot be read, or is no UTF-8; names the line and the byte.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    return decoded_lines(content, str(path))


def decoded_lines(content: bytes, name: str) -> list[str]:
    """The lines of UTF-8 bytes.

    Only line feeds end one: other separators (U+2028, form feed) stand within sentences.

    Raises:
        DataError: no UTF-8; names the line and the byte.
    """
    try:
        text = content.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        raise DataError(
            f"{name}: line {line} is not UTF-8 (byte 0x{error.object[error.start]:02x}, the line's "
            f"byte {column}); convert the file to UTF-8"
        ) from None
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]
