"""Text files, line by line, with errors that name the line."""

from __future__ import annotations

import codecs
import gzip
import zlib
from pathlib import Path

from tosmooth.errors import DataError
from tosmooth.files import readable


def text_file(path: Path) -> Path | None:
    """A file, or the same one packed by gzip (`train.en.gz`); None where there is neither.

    Raises:
        DataError: there are both.
    """
    found = [one for one in (path, path.with_name(f"{path.name}.gz")) if one.is_file()]
    if len(found) > 1:
        raise DataError(f"{path.parent}: {path.name} and {path.name}.gz both hold this text; keep one of them")
    return found[0] if found else None


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 file, unpacked where its name ends in .gz.

    Raises:
        DataError: the file cannot be read or unpacked, or is no UTF-8; names the line and the byte.
    """
    try:
        content = readable(path).read_bytes()
        if path.suffix.lower() == ".gz":
            content = gzip.decompress(content)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be unpacked (no gzip file, or cut short?): {error}") from None
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
