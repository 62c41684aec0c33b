"""The table of docs/study-folder.md: which files a study may leave, who writes and who reads them."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parents[2] / "docs" / "study-folder.md"
HEADINGS = ["file", "holds", "sum", "written by", "read by", "missing or damaged"]


class Row(NamedTuple):
    """One row of the table; `files` are patterns of paths; `sum` is where the SHA-256 stands."""

    files: list[str]
    holds: str
    sum: str
    writers: list[str]
    readers: list[str]
    without: str

    @property
    def modules(self) -> list[str]:
        return [*self.writers, *self.readers]


@cache
def rows() -> list[Row]:
    text = PAGE.read_text(encoding="utf-8")
    head, _, *lines = [line for line in text.splitlines() if line.startswith("|")]
    assert [cell.strip() for cell in head.strip("|").split("|")] == HEADINGS
    found = []
    for line in lines:
        files, holds, own_sum, writers, readers, without = (cell.strip() for cell in line.strip("|").split("|"))
        coded = [re.findall(r"`([^`]+)`", cell) for cell in (files, writers, readers)]
        assert readers == "–" or coded[2], line
        found.append(Row(coded[0], holds, own_sum, coded[1], coded[2], without))
    return found


def expression(pattern: str) -> re.Pattern[str]:
    """What a path of the table matches: `<model>` is a folder of a model, other names in brackets are one part."""
    parts = {"<model>": r"(?:teachers|students)/[^/]+", "<file>": r".+"}
    split = re.split(r"(<[^>]+>)", pattern)
    return re.compile("".join(parts.get(part, r"[^/]+") if part[:1] == "<" else re.escape(part) for part in split))


def matching(path: str) -> list[Row]:
    return [row for row in rows() if any(expression(file).fullmatch(path) for file in row.files)]


def each_has_one_row(folder: Path) -> list[str]:
    """The files of a study's folder, each of which has one row."""
    found = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert found
    assert {path: len(matching(path)) for path in found} == dict.fromkeys(found, 1)
    return found
