"""Writes that are whole or not there, and names that every file system takes."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

# What Windows takes for a device, whatever ending follows, in any case.
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])( *\.| *$)", re.IGNORECASE)
_FORBIDDEN = re.compile(r'[\x00-\x1f<>:"/\\|?*]')
LONGEST_NAME = 255  # of a file or folder, on all usual file systems


def unportable(name: str) -> str | None:
    """Why some system does not take this as the name of a file or folder; None where all do.

    A study that was made on one system can be copied to another: Windows forbids most.
    """
    if not name or name in {".", ".."}:
        return "is no name"
    if _DEVICES.match(name):
        return "is the name of a device on Windows"
    if name[-1] in ". ":
        return "ends with a dot or a space, which Windows drops"
    if found := _FORBIDDEN.search(name):
        return f"holds {found[0]!r}, which Windows forbids"
    if len(name.encode()) > LONGEST_NAME:
        return f"is longer than {LONGEST_NAME} bytes"
    return None


# Of this process or another one, and those that safetensors makes before a file has the name it was asked for.
_TEMPORARY = re.compile(r"\..+\.\d+\.tmp|\.tmp[A-Za-z0-9]{6}")


def temporary_of(path: Path) -> Path:
    """Where a file or a folder is made before it gets its name: beside it, hidden, of this process only."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def is_temporary(path: Path) -> bool:
    """Whether a name is one that `temporary_of` or safetensors gives: of a process that was killed, it may go."""
    return _TEMPORARY.fullmatch(path.name) is not None


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write, which takes the path's place in one step when all is written; else nothing of it stays.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_of(path)
    temporary.unlink(missing_ok=True)  # of a process that was killed and had the same number
    try:
        # Exclusively: in a folder of someone else's, a link of this name could lead anywhere.
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file's content in one step: a reader sees the old one or the new one, never half.

    Raises:
        OSError: the file cannot be written; an older one is untouched.
    """
    with replacing(path) as file:
        file.write(content)


def write_text(path: Path, text: str) -> None:
    """Replace a file's text, UTF-8, in one step."""
    write_bytes(path, text.encode())


def readable(path: Path) -> Path:
    """The path of a file, which opening will not wait for: not a pipe, which has no end until somebody writes into it,
    and no device, which may have none at all.

    Raises:
        OSError: it is one, is not there, or cannot be looked at.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # of a folder, whoever opens it says so
        raise OSError(errno.EINVAL, "it is a pipe or a device, no file", str(path))
    return path


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, hex.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync_file(path: Path) -> None:
    """Bring a file that another library has written to the disk, with the rights that the umask gives any file."""
    mask = os.umask(0o077)  # there is no other way to ask
    os.umask(mask)
    path.chmod(0o666 & ~mask)
    with path.open("r+b") as file:  # Windows syncs only what may be written
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


LONGEST_PART = 100  # characters of a model's name in a folder name, which has other parts, and 255 at most


def path_safe(name: str) -> str:
    """A model's name as part of a folder name: `timm:resnet18.a1_in1k` → `timm-resnet18.a1_in1k`.

    Every system takes it: long names are cut and end with a digest of the whole, devices of Windows get a sign before.
    """
    text = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")
    if len(text) > LONGEST_PART:
        text = f"{text[: LONGEST_PART - 9]}-{short_digest(name)}"
    return f"_{text}" if unportable(text) else text


def short_digest(text: str) -> str:
    """The first signs of a text's SHA-256, where a name must say which text it is of."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]
