"""The images below a folder, and an account of every other file there: nothing is left out without a word."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tosmooth.data.files import EXTENSIONS
from tosmooth.data.split_names import is_left_by_programs
from tosmooth.errors import DataError

SHOWN = 5  # kinds of files, and links by name, that a sentence lists


@dataclass
class Unread:
    """What was not read of a data set, counted while its folders are walked.

    Args:
        root: of the data set; names are shown relative to it.

    Attributes:
        kinds: files that are no images, by their ending in lower case ("" for none).
        outside: images that lie in no class folder.
        dead: links to nowhere.
        circles: links to a folder that they lie in.
        left: files that programs leave, by the name of the file or of the folder that they keep.
    """

    root: Path
    kinds: Counter[str] = field(default_factory=Counter)
    outside: int = 0
    dead: list[Path] = field(default_factory=list)
    circles: list[Path] = field(default_factory=list)
    left: Counter[str] = field(default_factory=Counter)

    def sentences(self) -> tuple[str, ...]:
        """For example "17 files not read: 12 .heic, 5 links to nowhere (cat/a.jpg, …)"; none where all were read."""
        parts = [f"{count:,} {ending or 'without an ending'}" for ending, count in self.kinds.most_common(SHOWN)]
        if further := sum(self.kinds.values()) - sum(count for _, count in self.kinds.most_common(SHOWN)):
            parts.append(f"{further:,} of other kinds")
        if self.outside:
            parts.append(f"{counted(self.outside, 'image')} in no class folder")
        for links, what in ((self.dead, "to nowhere"), (self.circles, "to a folder they lie in")):
            if links:
                names = ", ".join(path.relative_to(self.root).as_posix() for path in links[:SHOWN])
                more = ", …" if len(links) > SHOWN else ""
                parts.append(f"{counted(len(links), 'link')} {what} ({names}{more})")
        total = sum(self.kinds.values()) + self.outside + len(self.dead) + len(self.circles)
        found = [f"{counted(total, 'file')} not read: {', '.join(parts)}"] if total else []
        if self.left:
            names = ", ".join(f"{count:,} {name}" for name, count in self.left.most_common(SHOWN))
            more = ", …" if len(self.left) > SHOWN else ""
            found.append(f"{counted(self.left.total(), 'file')} of programs ignored: {names}{more}")
        return ("; ".join(found),) if found else ()

    def ignore(self, entry: os.DirEntry[str]) -> None:
        """Count what a program has left: a file, or all files of a folder."""
        if entry.is_dir(follow_symlinks=False):
            count = sum(len(files) for _, _, files in os.walk(entry.path))
            self.left[f"in {entry.name}/"] += count
        else:
            self.left["hidden" if entry.name.startswith(".") else entry.name] += 1
        self.left += Counter()  # folders without a file are nothing

    def note(self, entry: os.DirEntry[str]) -> None:
        """Count a file that is no image, or a link to nowhere."""
        if entry.is_symlink() and not (path := Path(entry.path)).exists():
            self.dead.append(path)
        else:
            self.kinds[Path(entry.name).suffix.lower()] += 1


def counted(count: int, noun: str) -> str:
    """`1 file`, `1,200 files`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def entries_of(folder: Path | str) -> list[os.DirEntry[str]]:
    """What lies in a folder, sorted by name.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"{folder}: the folder cannot be read: {error.strerror or error}") from None


def is_folder(entry: os.DirEntry[str]) -> bool:
    """A folder, or a link to one; a link to itself is none."""
    return Path(entry.path).is_dir() if entry.is_symlink() else entry.is_dir()


def is_image(entry: os.DirEntry[str]) -> bool:
    """A file, or a link to one, whose ending is an image's."""
    if Path(entry.name).suffix.lower() not in EXTENSIONS:
        return False
    return Path(entry.path).is_file() if entry.is_symlink() else entry.is_file()


def images_in(folder: Path, unread: Unread) -> list[Path]:
    """All images below a folder, links followed, sorted; every other file goes to the account.

    Raises:
        DataError: a folder cannot be read.
    """
    above = [place for place in folder.parents if place == unread.root or unread.root in place.parents]
    return sorted(_images(folder, unread, tuple(map(_identity, above))))


def _identity(folder: Path) -> tuple[int, int]:
    state = folder.stat()
    return state.st_dev, state.st_ino


def _images(folder: Path, unread: Unread, above: tuple[tuple[int, int], ...]) -> Iterator[Path]:
    above = (*above, _identity(folder))
    for entry in entries_of(folder):
        path = folder / entry.name
        if is_left_by_programs(entry.name):
            unread.ignore(entry)
        elif is_folder(entry):
            if _identity(path) in above:
                unread.circles.append(path)
            else:
                yield from _images(path, unread, above)
        elif is_image(entry):
            yield path
        else:
            unread.note(entry)
