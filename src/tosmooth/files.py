"""Writes that are whole or not there."""

from __future__ import annotations

import os
from pathlib import Path


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file's content in one step: a reader sees the old one or the new one, never half.

    Raises:
        OSError: the file cannot be written; an older one is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)  # of a process that was killed and had the same number
    try:
        # Exclusively: in a folder of someone else's, a link of this name could lead anywhere.
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """Replace a file's text, UTF-8, in one step."""
    write_bytes(path, text.encode())


def sync_file(path: Path) -> None:
    """Bring a file that another library has written to the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Bring a rename to the disk: after a power cut the new name is there. Windows needs none, and has no way to."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
