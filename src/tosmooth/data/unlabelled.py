"""A folder of images that nobody has labelled: students learn a teacher's answers to them, and nothing else does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tosmooth.data.base import NO_LABEL, RawImages, origin_of
from tosmooth.data.files import FileSplit
from tosmooth.data.folder_checks import there_in
from tosmooth.data.image_tree import Unread, images_in
from tosmooth.errors import DataError

RGB = 3  # channels that image files are read with


def unlabelled_images(folder: Path, labelled: RawImages) -> tuple[FileSplit, tuple[str, ...]]:
    """All images below a folder, at any depth, and what of it was not read, in words.

    Args:
        folder: where they are; what its sub-folders are called means nothing.
        labelled: the data set, of which none of them may be a file.

    Raises:
        DataError: no such folder, no images in it, or one of them is an image of the data set.
    """
    root = folder.expanduser()
    if not root.is_dir():
        raise DataError(f"data.unlabelled: {root} is no folder")
    unread = Unread(root)
    paths = images_in(root, unread)
    if not paths:
        raise DataError(f"data.unlabelled: {root} holds no images that Pillow reads{there_in(root)}")
    known = dict(_files(labelled))
    twice = [(path, known[identity]) for path in paths if (identity := _identity(path)) in known]
    if twice:
        path, role = twice[0]
        raise DataError(
            f"data.unlabelled: {path} is one of the {role} images ({len(twice):,} of {len(paths):,} here are of the "
            "data set); give a folder of other images, without labels"
        )
    sentences = tuple(f"images without labels: {text}" for text in unread.sentences())
    return FileSplit(paths, [NO_LABEL] * len(paths), root), sentences


def distilled_on(labelled: int, unlabelled: int, folder: Path) -> str:
    """The same in words, for reports."""
    return (
        f"distilled on {labelled:,} labelled and {unlabelled:,} unlabelled images ({folder.name}/), all of them an "
        "epoch; students without a teacher see the labelled ones alone, again until they have taken as many steps"
    )


def _files(labelled: RawImages) -> Iterator[tuple[tuple[int, int], str]]:
    """Identity of each image file of the data set, and which images it is of."""
    splits = {"training": labelled.train, "validation": labelled.validation, "test": labelled.test}
    for role, split in splits.items():
        files, places = (None, None) if split is None else origin_of(split)
        if isinstance(files, FileSplit) and places is not None:
            for place in places.tolist():
                if (identity := _identity(files.paths[place])) is not None:
                    yield identity, role


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file it is, by whatever name; None where there is none."""
    try:
        state = path.stat()
    except OSError:  # said where it is read
        return None
    return state.st_dev, state.st_ino
