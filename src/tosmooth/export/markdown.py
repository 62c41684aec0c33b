"""Texts of unknown origin in Markdown: shown as they are, and obeyed by no renderer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tosmooth.terminal import shown

LONGEST = 300  # characters of a name or sentence in a card
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}  # also where a renderer takes HTML before Markdown
_SPECIAL = re.compile(r"([\\`*_{}\[\]#!|~$@^]|(?<=:)//|(?i:www)(?=\.))")


def plain(text: object) -> str:
    """A text as part of a line or a table's cell: one line, no markup, no link, no HTML.

    Args:
        text: of any origin; what `terminal.shown` writes out is written out, and it is cut where it is very long.
    """
    line = " ".join(shown(" ".join(str(text).split())).split())
    line = line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
    escaped = _SPECIAL.sub(_escaped, "".join(_ENTITIES.get(character, character) for character in line))
    # At the beginning of a line these would make a list, a rule or a heading.
    return re.sub(r"^(\d+)?([-+=.])", lambda match: f"{match[1] or ''}\\{match[2]}", escaped)


def _escaped(match: re.Match[str]) -> str:
    text = match[0]
    if text == "//":
        return "\\/\\/"
    return f"{text}\\" if len(text) == 3 else f"\\{text}"  # of "www", the dot behind it


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; its cells are Markdown already (see `plain`)."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def code(text: str, language: str = "") -> str:
    """A block of code of ours; names in it must have been quoted for that language, so that they are on one line."""
    return f"```{language}\n{text}\n```"
