"""CUB-200-2011 in its own layout: images.txt, image_class_labels.txt, train_test_split.txt, classes.txt, images/."""

from __future__ import annotations

from pathlib import Path

from tosmooth.data.base import RawImages
from tosmooth.data.files import FileSplit
from tosmooth.data.registry import SourceRequest, register_image_source
from tosmooth.errors import DataError


def _read_pairs(path: Path) -> dict[int, str]:
    """Lines of `number text`; numbers count from 1 and do not repeat."""
    if not path.is_file():
        raise DataError(f"{path}: missing; CUB-200-2011 has it beside the folder images/")
    pairs: dict[int, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        key, _, value = line.strip().partition(" ")
        if not key.isdigit() or not value:
            raise DataError(f"{path}, line {number}: expected 'number text', found {line!r}")
        if int(key) in pairs:
            raise DataError(f"{path}, line {number}: number {key} stands there twice")
        pairs[int(key)] = value.strip()
    if not pairs:
        raise DataError(f"{path}: empty")
    return pairs


def _integers(path: Path, pairs: dict[int, str], keys: dict[int, str]) -> dict[int, int]:
    """The values as integers, one for each key of `keys`."""
    missing = sorted(keys.keys() - pairs.keys())
    if missing:
        raise DataError(f"{path}: no line for image {missing[0]} ({keys[missing[0]]}); {len(missing)} missing")
    wrong = [key for key in keys if not pairs[key].isdigit()]
    if wrong:
        raise DataError(f"{path}: image {wrong[0]} has {pairs[wrong[0]]!r}, expected a whole number")
    return {key: int(pairs[key]) for key in keys}


def readable_name(name: str) -> str:
    """`001.Black_footed_Albatross` → `Black footed Albatross`."""
    return name.partition(".")[2].replace("_", " ") or name


@register_image_source("cub200")
def cub200(request: SourceRequest) -> RawImages:
    """CUB-200-2011; super-classes are the last word of the species' names (Albatross, Warbler, …)."""
    request.no_options("cub200")
    root = request.need_path("cub200", "the folder CUB_200_2011, with images.txt and images/")
    files = _read_pairs(root / "images.txt")
    labels = _integers(root / "image_class_labels.txt", _read_pairs(root / "image_class_labels.txt"), files)
    in_train = _integers(root / "train_test_split.txt", _read_pairs(root / "train_test_split.txt"), files)
    names = _read_pairs(root / "classes.txt")
    position = {number: index for index, number in enumerate(sorted(names))}
    for key, number in labels.items():
        if number not in position:
            raise DataError(
                f"{root / 'image_class_labels.txt'}: image {key} has class {number}, which classes.txt does not list"
            )
        if in_train[key] not in (0, 1):
            raise DataError(f"{root / 'train_test_split.txt'}: image {key} has {in_train[key]}, expected 0 or 1")
        if Path(files[key]).is_absolute() or ".." in Path(files[key]).parts:
            raise DataError(f"{root / 'images.txt'}: image {key} lies outside images/: {files[key]!r}")

    def split(flag: int) -> FileSplit:
        keys = [key for key in sorted(files) if in_train[key] == flag]
        return FileSplit([root / "images" / files[key] for key in keys], [position[labels[key]] for key in keys])

    classes = tuple(readable_name(names[number]) for number in sorted(names))
    superclasses = tuple(name.split()[-1] for name in classes)
    return RawImages(split(1), split(0), classes, superclasses=superclasses)
