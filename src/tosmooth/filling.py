"""Folders that studies share: one study at a time fills them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from tosmooth.errors import CacheError
from tosmooth.files import is_temporary


@contextlib.contextmanager
def alone_in(
    folder: Path, note: Callable[[str], None], *, waits: bool = True, off: str = "cache=off"
) -> Iterator[None]:
    """One study at a time fills a folder that studies share; the others wait, and find it filled.

    Args:
        folder: made if it is not there.
        note: told that another study is waited for.
        waits: whether it is; the processes of a run do not wait for one of them without end.
        off: the setting that does without such a folder.

    Raises:
        CacheError: the folder cannot be written; or another study fills it, and nobody waits.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / "filling.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if not waits:
                raise CacheError(f"another study is filling {folder}; start again when it has done so") from None
            note(f"waiting for another study, which is filling {folder}")
            lock.acquire()
    except OSError as error:
        raise CacheError(
            f"{folder} cannot be written: {error.strerror or error}; choose another cache.directory, or set {off}"
        ) from None
    try:
        for leftover in filter(is_temporary, list(folder.glob(".*"))):  # of a process that was killed while writing
            leftover.unlink(missing_ok=True)
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def writing_to(folder: Path, error: type[CacheError] = CacheError, *, off: str = "cache=off") -> Iterator[None]:
    """What the disk refuses while such a folder is written, as one sentence.

    Args:
        folder: that is filled.
        error: to raise.
        off: the setting that does without such a folder.

    Raises:
        CacheError: of the kind `error`: the disk refuses.
    """
    try:
        yield
    except OSError as refused:
        raise error(
            f"{folder} cannot be written: {refused.strerror or refused}; finished shards are kept and the same command "
            f"goes on from them (or set {off})"
        ) from None
