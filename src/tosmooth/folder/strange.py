"""What no study puts into its folder: pipes and devices, which a reader waits for, and links that lead out of it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from tosmooth.errors import StudyError
from tosmooth.folder.paths import CONFIG_FILE, REPORT_FILE, STATE, TRACKING, StudyDirectory


def study_at(path: str | Path, *, written: bool = False) -> StudyDirectory:
    """The folder of a study, looked at before any of its files is opened.

    Args:
        path: of it.
        written: whether something will be written into it.

    Raises:
        StudyError: it is no study, or as `refuse_strange`.
    """
    directory = StudyDirectory(Path(path))
    if not directory.config.is_file():
        raise StudyError(f"{path} is not a study: it has no {CONFIG_FILE}")
    refuse_strange(directory.path, written=written)
    return directory


def refuse_strange(path: Path, *, written: bool) -> None:
    """Refuse a pipe, a socket or a device in a study; and links out of it that writing would follow.

    A link in the place of a file is none of these, but for the page, which people open, and files of locks: a file is
    made under another name and then renamed, so that a link is replaced.

    Args:
        path: of the study; it may be a link itself.
        written: whether something will be written into it.

    Raises:
        StudyError: there is one, named.
    """
    root = path.resolve()
    for entry in _entries(path):
        there = Path(entry.path)
        if not entry.is_symlink():
            if not entry.is_dir() and not entry.is_file():
                raise StudyError(f"{there} is a pipe, a socket or a device, no file; delete it")
            continue
        try:
            target = there.resolve()
            mode = target.stat().st_mode if target.exists() else 0
        except (OSError, RuntimeError):  # a link to itself
            target, mode = there, 0
        if mode and not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
            raise StudyError(f"{there} is a link to {target}, a pipe or a device, no file; delete it")
        if not written or (mode and target.is_relative_to(root)):
            continue
        if not mode:
            if there.relative_to(path).parts[0] == TRACKING:  # a tracker's, to runs of its own that were cleared away
                continue
            raise StudyError(f"{there} is a link that leads nowhere; delete it")
        if stat.S_ISDIR(mode) or there.name == REPORT_FILE or there.relative_to(path).parts[0] == STATE:
            raise StudyError(
                f"{there} is a link to {target}, outside the study; delete it, or link the whole study: nothing is "
                "written through links within one"
            )


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Everything below a folder, links not followed; nothing where it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                yield entry
                if entry.is_dir(follow_symlinks=False):
                    yield from _entries(Path(entry.path))
    except OSError:
        return
