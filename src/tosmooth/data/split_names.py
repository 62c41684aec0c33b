"""Which folders of a data set are its splits, by the names that people give them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

Kind = Literal["train", "val", "test"]
KINDS: tuple[Kind, ...] = ("train", "val", "test")

_NAMES = {
    "train": "train|training|trn",
    "val": "val|valid|validation|validate|dev",
    "test": "test|testing|tst",
}
# Words that name a split no further: `train_images`, `seg_train`, `TestSet`, `val2017`, `Train_Set_Folder`.
_BESIDE = r"(?:images?|imgs?|photos?|pictures?|pics?|data|sets?|seg|splits?|samples?|folders?|dir|\d)"
_SPLITS = {
    kind: re.compile(rf"(?:{_BESIDE}[\W_]*)*(?:{names})(?:[\W_]*{_BESIDE})*[\W_]*") for kind, names in _NAMES.items()
}

# What operating systems, network drives and editors leave among files; in lower case. So are hidden ones.
_LEFT_BY_PROGRAMS = {
    "__macosx", "@eadir", "#recycle", "@recycle", "$recycle.bin", "recycler", "system volume information",
    "lost+found", "__pycache__", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "@tmp", "#snapshot", "@sharebin",
}  # fmt: skip


def is_left_by_programs(name: str) -> bool:
    """Whether a file or folder is no one's data: hidden, or what a system keeps for itself (`@eaDir`, `__MACOSX`)."""
    return name.startswith(".") or name.lower() in _LEFT_BY_PROGRAMS


def kind_of(name: str) -> Kind | None:
    """The split that a folder's name stands for, in any case and with its usual synonyms; None: no split's."""
    text = name.casefold()
    return next((kind for kind in KINDS if _SPLITS[kind].fullmatch(text)), None)


def visible_folders(folder: Path) -> list[Path]:
    """Sub-folders that may be data, links to folders among them, sorted by name."""
    return sorted(entry for entry in folder.iterdir() if not is_left_by_programs(entry.name) and entry.is_dir())


def split_folders(root: Path) -> dict[Kind, list[Path]]:
    """The sub-folders of each split that there are any of; more than one is for the caller to refuse."""
    found: dict[Kind, list[Path]] = {}
    for entry in visible_folders(root):
        if (kind := kind_of(entry.name)) is not None:
            found.setdefault(kind, []).append(entry)
    return found


def unwrapped(folder: Path) -> Path:
    """A split's folder without another one of the same split around it, as unpacking leaves it."""
    while True:
        inner = visible_folders(folder)
        alone = len(inner) == 1 and not any(entry.is_file() for entry in folder.iterdir() if entry.name[0] != ".")
        if not alone or kind_of(inner[0].name) != kind_of(folder.name) or kind_of(folder.name) is None:
            return folder
        folder = inner[0]


def in_words(folders: Iterable[Path]) -> str:
    """`train/, test/`."""
    return ", ".join(f"{folder.name}/" for folder in folders)
