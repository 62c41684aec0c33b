"""Any folder of images with one sub-folder per class, under `train/` and `val/` (the ImageNet-1K layout)."""

from __future__ import annotations

from pathlib import Path

from tosmooth.data.base import RawImages
from tosmooth.data.files import EXTENSIONS, FileSplit
from tosmooth.data.registry import SourceRequest, register_image_source
from tosmooth.errors import DataError, did_you_mean


def _class_names(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected {folder.name}/<class>/<image> in {folder.parent}")
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not names:
        raise DataError(f"{folder}: holds no class folders; expected {folder.name}/<class>/<image>")
    return names


def _read_split(folder: Path, classes: list[str]) -> FileSplit:
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
        files = sorted(p for p in (folder / name).rglob("*") if p.suffix.lower() in EXTENSIONS and p.is_file())
        if not files:
            raise DataError(f"{folder / name}: holds no images; known endings: {', '.join(sorted(EXTENSIONS))}")
        paths += files
        labels += [index] * len(files)
    return FileSplit(paths, labels, folder.parent)


@register_image_source("folder")
def image_folder(request: SourceRequest) -> RawImages:
    """`train/<class>/…` and `val/<class>/…`, and possibly `test/<class>/…`.

    In the ImageNet layout `val/` is what results are reported on, so it must not choose anything: it is the test
    split, and validation is split off training. Where there is a `test/`, `val/` is validation.
    """
    request.no_options("folder")
    root = request.need_path("folder", "a folder that holds train/ and val/")
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    classes = _class_names(root / "train")
    train, val = _read_split(root / "train", classes), _read_split(root / "val", classes)
    if (root / "test").is_dir():
        return RawImages(train, _read_split(root / "test", classes), tuple(classes), validation=val)
    return RawImages(train, val, tuple(classes))
