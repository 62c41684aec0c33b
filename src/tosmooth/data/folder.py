"""Any folder of images with one sub-folder per class: under `train/` and `val/` (the ImageNet-1K layout), or alone."""

from __future__ import annotations

from pathlib import Path

from tosmooth.data.base import RawImages, Subset
from tosmooth.data.files import EXTENSIONS, FileSplit
from tosmooth.data.registry import SourceRequest, register_image_source
from tosmooth.data.splits import split_off
from tosmooth.errors import DataError, did_you_mean

VALIDATION_NAMES = ("val", "valid", "validation")
TEST_SHARE = 0.2  # of images that nobody has parted
LEAST_IMAGES = 5  # of a class in such a folder: one of five is held out


def _class_names(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected {folder.name}/<class>/<image> in {folder.parent}")
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not names:
        raise DataError(f"{folder}: holds no class folders; expected {folder.name}/<class>/<image>")
    return names


def _read_split(folder: Path, classes: list[str], root: Path | None = None) -> FileSplit:
    there = _class_names(folder)
    unknown = [name for name in there if name not in classes]
    if unknown:
        raise DataError(f"{folder / unknown[0]}: not a class of train/; {did_you_mean(unknown[0], classes)}")
    missing = [name for name in classes if name not in there]
    if missing:
        raise DataError(f"{folder}: has no folder for {len(missing)} classes of train/: {', '.join(missing[:5])}")
    paths: list[Path] = []
    labels: list[int] = []
    for index, name in enumerate(classes):
        files = _images_in(folder / name)
        if not files:
            raise DataError(f"{folder / name}: holds no images; known endings: {', '.join(sorted(EXTENSIONS))}")
        paths += files
        labels += [index] * len(files)
    return FileSplit(paths, labels, root or folder.parent)


def _images_in(folder: Path) -> list[Path]:
    """All images below a folder; hidden ones are copies that programs leave (`.ipynb_checkpoints`, `._x`)."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in EXTENSIONS
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )


@register_image_source("folder")
def image_folder(request: SourceRequest) -> RawImages:
    """`train/<class>/…` with `val/<class>/…`, `test/<class>/…` or both; or nothing but `<class>/…`.

    In the ImageNet layout `val/` is what results are reported on, so it must not choose anything: it is the test
    split, and validation is split off training. Where there is a `test/`, `val/` is validation. A folder of class
    folders alone is parted once and for all: the same files are always the same test split.
    """
    request.no_options("folder")
    root = request.need_path("folder", "a folder that holds train/ and val/, or one folder for each class")
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    if not (root / "train").is_dir():
        return _parted(root)
    if not any(entry.is_dir() for entry in (root / "train").iterdir()):
        raise DataError(
            f"{root / 'train'}: holds no class folders; expected train/<class>/<image>. If train is one of your "
            "classes, give its folder another name"
        )
    classes = _class_names(root / "train")
    train = _read_split(root / "train", classes)
    held_out = next((root / name for name in VALIDATION_NAMES if (root / name).is_dir()), None)
    if not (root / "test").is_dir():
        return RawImages(train, _read_split(held_out or root / "val", classes), tuple(classes))
    test = _read_split(root / "test", classes)
    validation = None if held_out is None else _read_split(held_out, classes)
    return RawImages(train, test, tuple(classes), validation=validation)


def _parted(root: Path) -> RawImages:
    """Class folders alone: a share of the images becomes the test split.

    Raises:
        DataError: this is the folder of something else, or a class has too few images.
    """
    lone = [name for name in ("test", *VALIDATION_NAMES) if (root / name).is_dir()]
    if lone:
        raise DataError(
            f"{root}: holds {lone[0]}/ but no train/; expected train/<class>/<image> beside it, or class folders "
            f"alone. If {lone[0]} is one of your classes, give its folder another name"
        )
    classes = _class_names(root)
    whole = _read_split(root, classes, root)
    few = [name for index, name in enumerate(classes) if int((whole.labels == index).sum()) < LEAST_IMAGES]
    if few:
        raise DataError(
            f"{root / few[0]}: fewer than {LEAST_IMAGES} images, too few to hold some out for the test; add images, or "
            "make train/ and val/ yourself"
        )
    rest, part = split_off(whole.labels, TEST_SHARE, seed=0)
    note = f"test: {100 * TEST_SHARE:g} % of the images in {root.name}/, stratified, always the same"
    return RawImages(Subset(whole, rest), Subset(whole, part), tuple(classes), notes=(note,))
