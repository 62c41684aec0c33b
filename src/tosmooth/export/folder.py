"""The folder of an export: whole or not there, and in nobody's way."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from tosmooth.errors import StudyError
from tosmooth.files import file_digest, sync_file, sync_folder, temporary_of
from tosmooth.folder.writing import load_json, write_json

MANIFEST = "export.json"
MADE_BY = "tosmooth export"


def refuse_unless_ours(folder: Path, *, force: bool = False) -> None:
    """Look whether an export may be written there; nothing is written.

    Args:
        folder: may be missing or empty, or hold an earlier export and nothing else.
        force: an earlier export may also have been changed, or hold other files: they are lost.

    Raises:
        StudyError: it holds something else, or cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise StudyError(f"{folder} is a file; an export needs a folder. Choose another --output")
    parent = next(p for p in (folder, *folder.parents) if p.exists())
    if not os.access(parent, os.W_OK):
        raise StudyError(f"{parent.resolve()} is not writable; choose another --output")
    if not folder.exists() or not any(folder.iterdir()):
        return
    manifest = folder / MANIFEST
    found = load_json(manifest, dict, "choose another --output") if manifest.is_file() else {}
    written = found.get("files")
    if found.get("made_by") != MADE_BY or not isinstance(written, dict):
        raise StudyError(f"{folder} holds files that no export has written; choose another --output")
    if force:
        return
    there = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if not path.is_dir()}
    for name, path in sorted(there.items()):
        if name != MANIFEST and written.get(name) != digest(path):
            what = "was changed since the export" if name in written else "was put there since"
            raise StudyError(f"{path} {what} and would be lost; choose another --output, or --force")


def write_whole(folder: Path, write: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    """Make a folder elsewhere and rename it: who is killed leaves the old one, none, or the new one, never half.

    Args:
        folder: where it belongs; checked by `refuse_unless_ours`.
        write: fills the folder that it is given, and returns the manifest's content.

    Returns:
        The manifest, with the SHA-256 of every file under `files`.

    Raises:
        StudyError: the folder cannot be written.
    """
    temporary = temporary_of(folder)
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old.tmp")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(folder)
        temporary.mkdir()
        content = write(temporary)
        files = sorted(path for path in temporary.rglob("*") if path.is_file())
        digests = {path.relative_to(temporary).as_posix(): digest(path) for path in files}
        for path in files:
            sync_file(path)
        manifest = {"made_by": MADE_BY, **content, "files": digests}
        write_json(temporary / MANIFEST, manifest)
        if folder.exists():
            folder.rename(old)
        temporary.rename(folder)
        sync_folder(folder.parent)
        return manifest
    except OSError as error:
        raise StudyError(f"{folder} cannot be written: {error.strerror or error}; choose another --output") from None
    finally:
        if old.exists() and not folder.exists():
            old.rename(folder)
        for path in (temporary, old):
            shutil.rmtree(path, ignore_errors=True)


def _remove_leftovers(folder: Path) -> None:
    """Of exports that were killed; those of living processes stay."""
    for path in folder.parent.glob(f".{_literal(folder.name)}.*.tmp"):
        number = re.fullmatch(r"(\d+)(\.old)?\.tmp", path.name.removeprefix(f".{folder.name}."))
        if not number or (int(number[1]) != os.getpid() and psutil.pid_exists(int(number[1]))):
            continue
        if number[2] and not folder.exists():  # killed between two renames: the old export is all there is
            path.rename(folder)
        shutil.rmtree(path, ignore_errors=True)


def _literal(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)


def digest(path: Path) -> str:
    """SHA-256 of a file's content, hex; of a link, of where it leads, which is not followed."""
    if path.is_symlink():
        return f"link to {path.readlink()}"
    return file_digest(path)
