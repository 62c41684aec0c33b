"""What a folder of images may be taken for by mistake: splits for classes, one folder for two, files for images."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tosmooth.data.image_tree import entries_of, is_image
from tosmooth.data.split_names import visible_folders
from tosmooth.errors import DataError

SHOWN = 5  # names in a message


def refuse_unclear(place: Path, folders: dict[str, Path], *, whole: bool) -> None:
    """Where all "classes" have the same sub-folders and no images, they may be splits; one is none, or all of them.

    Args:
        place: where the class folders lie.
        folders: class names and their folders.
        whole: `place` is the data set, and not one of its splits.

    Raises:
        DataError: they do, with both readings; or there is one folder alone.
    """
    if len(folders) == 1:
        alone = next(iter(folders.values()))
        way = (
            f"is the data set, give data.path={alone}"
            if whole
            else f"holds the classes, move them up into {place.name}/"
        )
        meant = f"; if {alone.name}/ {way}" if len(visible_folders(alone)) > 1 else ""
        raise DataError(f"{place}: holds one folder, {alone.name}/; a classifier needs 2 classes or more{meant}")
    below = {}
    for name, folder in folders.items():
        if any(is_image(entry) for entry in entries_of(folder)):
            return
        below[name] = {entry.name for entry in visible_folders(folder)}
    counts = Counter(name for names in below.values() for name in names)
    shared = {name for name, count in counts.items() if count > 1}
    if len(folders) < 2 or len(shared) < 2 or any(2 * len(names & shared) <= len(names) for names in below.values()):
        return
    outer = ", ".join(f"{name}/" for name in list(folders)[:SHOWN]) + ("" if len(folders) <= SHOWN else ", …")
    inner = ", ".join(f"{name}/" for name in sorted(shared)[:SHOWN]) + ("" if len(shared) <= SHOWN else ", …")
    raise DataError(
        f"{place}: {outer} hold the same folders ({inner}) and no images of their own, which can be read in two "
        f"ways. If {inner} are the classes, {outer} are splits: name them train/, val/ and test/. If {outer} are "
        "the classes, put the images of each straight into its folder"
    )


def refuse_twice(folders: list[Path]) -> None:
    """Two names of one folder, by a link: images would be of two classes, or of training and test.

    Raises:
        DataError: there are.
    """
    known: dict[Path, Path] = {}
    for folder in folders:
        if (other := known.setdefault(folder.resolve(), folder)) is not folder:
            raise DataError(f"{folder}: is the same folder as {other} (a link); remove one of them")


def there_in(folder: Path) -> str:
    """What a folder without images holds, in words, to stand behind "holds no images"."""
    kinds: Counter[str] = Counter()
    for path in folder.rglob("*"):
        if path.is_file() or path.is_symlink():
            ending = path.suffix.lower()
            kinds["links to nowhere" if not path.exists() else ending or "without an ending"] += 1
    listed = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common(SHOWN))
    return f" (there: {listed})" if listed else " (it is empty)"
