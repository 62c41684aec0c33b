"""What a recipe expects in the folder of data that its user gives, and what is there instead."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from tosmooth.data.split_names import split_folders, unwrapped, visible_folders
from tosmooth.errors import ConfigError
from tosmooth.terminal import shown

SHOWN = 6  # entries of a wrong folder that a message lists

# data source → what its folder holds, in words
EXPECTED = {
    "folder": "train/<class>/<image> and val/<class>/<image> (of ImageNet: train/n01440764/*.JPEG, …)",
    "cub200": "images.txt, classes.txt, image_class_labels.txt, train_test_split.txt and images/, or CUB_200_2011/ "
    "with them",
    "cifar100": "cifar-100-python/ with train, test and meta (data.download=true fetches them)",
    "parallel_text": "train.{source}, train.{target}, test.{source}, test.{target}, and valid.{source}, valid.{target}",
}
CUB_FILES = ("images.txt", "classes.txt", "image_class_labels.txt", "train_test_split.txt", "images")


class _Text(Protocol):
    @property
    def source_language(self) -> str: ...
    @property
    def target_language(self) -> str: ...


class Data(Protocol):
    """What is needed of a configuration's data section."""

    @property
    def source(self) -> str:
        """Name of the data source."""

    @property
    def path(self) -> Path | None:
        """Folder of the data."""

    @property
    def download(self) -> bool:
        """Whether the data are fetched."""


def expected(data: Data) -> str | None:
    """What the folder of a source must hold, in words; None of a source that needs none, or is not known here."""
    found = EXPECTED.get(data.source)
    return found and found.format(**_languages(data))


def _languages(data: Data) -> dict[str, str]:
    """Codes of the languages of sentences; empty of other data."""
    text: _Text | None = getattr(data, "text", None)
    return {} if text is None else {"source": text.source_language, "target": text.target_language}


def check_layout(data: Data, *, parted: bool = True) -> None:
    """Look at the names in the folder, before anything is read: whether this can be the data at all.

    Args:
        data: of the configuration.
        parted: training and held-out images have to be apart already; otherwise class folders alone will do.

    Raises:
        ConfigError: it cannot; with what is expected, what is there, and the folder below that was probably meant.
    """
    words, path = expected(data), data.path
    if words is None or path is None or data.download:
        return
    if not path.is_dir():
        raise ConfigError([f"--data: {shown(str(path))} is no folder; expected one with {words}"])
    missing = _missing(data, path, parted)
    if not missing:
        return
    names = sorted(entry.name + "/" * entry.is_dir() for entry in path.iterdir() if not entry.name.startswith("."))
    there = ", ".join(names[:SHOWN]) + (f", … ({len(names)} in all)" if len(names) > SHOWN else "") or "nothing"
    near = [*(entry for entry in sorted(path.iterdir()) if entry.is_dir()), path.resolve().parent]
    meant = next((f". Did you mean --data {shown(str(one))}?" for one in near if not _missing(data, one, True)), "")
    raise ConfigError(
        [f"--data: {shown(str(path))} has no {missing[0]}; expected {words}; there: {shown(there)}{meant}"]
    )


def _missing(data: Data, path: Path, parted: bool) -> list[str]:
    """The names that must be in the folder and are not."""
    if data.source == "folder":
        return _missing_of_folders(path, parted)
    if data.source == "cub200":
        root = path if (path / "images.txt").is_file() else path / "CUB_200_2011"
        return [name for name in CUB_FILES if not (root / name).exists()]
    if data.source == "cifar100":
        return [
            f"cifar-100-python/{n}" for n in ("train", "test", "meta") if not (path / "cifar-100-python" / n).exists()
        ]
    names = [f"{part}.{language}" for part in ("train", "test") for language in _languages(data).values()]
    return [name for name in names if not any((path / f"{name}{packed}").is_file() for packed in ("", ".gz"))]


def _missing_of_folders(path: Path, parted: bool) -> list[str]:
    splits = {kind: unwrapped(folders[0]) for kind, folders in split_folders(path).items()}
    if "train" not in splits:
        # Class folders alone are parted by the source itself; folders of folders are none.
        classes = visible_folders(path)
        alone = bool(classes) and all(any(p.is_file() for p in entry.iterdir()) for entry in classes[:3])
        return ["train/"] if splits or parted or not alone else []
    if list(splits) == ["train"]:
        return ["val/"] if parted else []
    # ImageNet's validation images come in one heap, to be sorted into class folders.
    heaps = [folder.name for folder in splits.values() if not visible_folders(folder)]
    if len(splits) - len(heaps) > 1 and heaps == [splits["test"].name if "test" in splits else ""]:
        return []  # unlabelled test images are left out
    return [f"{name}/<class>/: its images have to be sorted into class folders" for name in heaps]
