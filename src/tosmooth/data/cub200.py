"""CUB-200-2011 in its own layout: images.txt, image_class_labels.txt, train_test_split.txt, classes.txt, images/."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tosmooth.data.base import RawImages
from tosmooth.data.files import FileSplit
from tosmooth.data.registry import SourceRequest, register_image_source
from tosmooth.errors import DataError
from tosmooth.files import readable


def _read_pairs(path: Path) -> dict[int, tuple[str, str]]:
    """Lines of `number text` → number: (text, place for messages); numbers do not repeat."""
    try:
        lines = readable(path).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise DataError(f"{path}: missing; CUB-200-2011 has it beside the folder images/") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not readable as text: {error}") from None
    pairs: dict[int, tuple[str, str]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        key, _, value = line.strip().partition(" ")
        if not (key.isascii() and key.isdecimal()) or not value.strip():
            raise DataError(f"{place}: expected 'number text', found {line!r}")
        if int(key) in pairs:
            raise DataError(f"{place}: number {key} stands there twice")
        pairs[int(key)] = (value.strip(), place)
    if not pairs:
        raise DataError(f"{path}: empty")
    return pairs


def _read_integers(path: Path, images: Mapping[int, object]) -> dict[int, tuple[int, str]]:
    """A whole number for each image of images.txt: (number, place for messages)."""
    pairs = _read_pairs(path)
    missing, extra = sorted(images.keys() - pairs.keys()), sorted(pairs.keys() - images.keys())
    if missing:
        raise DataError(f"{path}: no line for image {missing[0]} of images.txt ({len(missing)} missing)")
    if extra:
        raise DataError(f"{pairs[extra[0]][1]}: image {extra[0]} is not in images.txt")
    for key, (text, place) in pairs.items():
        if not (text.isascii() and text.isdecimal()):
            raise DataError(f"{place}: image {key} has {text!r}, expected a whole number")
    return {key: (int(text), place) for key, (text, place) in pairs.items()}


def readable_name(name: str) -> str:
    """`001.Black_footed_Albatross` → `Black footed Albatross`."""
    return name.partition(".")[2].replace("_", " ").strip() or name


@register_image_source("cub200")
def cub200(request: SourceRequest) -> RawImages:
    """CUB-200-2011; super-classes are the last word of the species' names (Albatross, Warbler, …).

    The path is the folder `CUB_200_2011`, or the one it was unpacked into.
    """
    request.no_options("cub200")
    root = request.need_path("cub200", "the folder CUB_200_2011, with images.txt and images/")
    if not (root / "images.txt").is_file() and (root / "CUB_200_2011" / "images.txt").is_file():
        root = root / "CUB_200_2011"
    files = _read_pairs(root / "images.txt")
    names = {number: readable_name(text) for number, (text, _) in sorted(_read_pairs(root / "classes.txt").items())}
    labels = _read_integers(root / "image_class_labels.txt", files)
    for key, (number, place) in labels.items():
        if number not in names:
            raise DataError(f"{place}: image {key} has class {number}, which classes.txt does not list")
    in_train = _read_integers(root / "train_test_split.txt", files)
    for key, (flag, place) in in_train.items():
        if flag not in (0, 1):
            raise DataError(f"{place}: image {key} has {flag}, expected 0 or 1")
    for text, place in files.values():
        if Path(text).is_absolute() or ".." in Path(text).parts:
            raise DataError(f"{place}: {text!r} lies outside images/")
    position = {number: index for index, number in enumerate(names)}

    def split(flag: int) -> FileSplit:
        keys = [key for key in sorted(files) if in_train[key][0] == flag]
        paths = [root / "images" / files[key][0] for key in keys]
        return FileSplit(paths, [position[labels[key][0]] for key in keys], root)

    classes = tuple(names.values())
    return RawImages(split(1), split(0), classes, superclasses=tuple(name.split()[-1] for name in classes))
