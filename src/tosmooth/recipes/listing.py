"""What a recipe's file says of itself, in a line: its data, its grid, and the paper's figure or the time it takes."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import yaml

from tosmooth.recipes import recipe_text

# The paper's table in a header: a line for the teacher and one for each T, columns α = 0 and α = 0.1.
_ROW = re.compile(r"^# +(teacher|T = (\d+)) +(\d+\.\d+) +(\d+\.\d+)$", flags=re.MULTILINE)
_TIME = re.compile(r"(?:about )?\d+(?: to \d+)? (?:minutes|hours?)")


@dataclass(frozen=True)
class Listed:
    """One recipe.

    Attributes:
        about: the first line of its file.
        data: whose images or sentences.
        grid: (smoothing factors, temperatures, seeds); each pair of a teacher and a student seed counts as one.
        students: how many are trained.
        paper: the paper's best student, top-1 in percent or BLEU; None where it has no table.
        time: as the header has it; None where it names none.
    """

    about: str
    data: str
    grid: tuple[int, int, int]
    students: int
    paper: float | None
    time: str | None


def listed(name: str) -> Listed:
    """What the file of a recipe says.

    Raises:
        ConfigError: there is no such recipe.
    """
    text = recipe_text(name)
    raw: dict[str, Any] = yaml.safe_load(text)
    teacher, student = raw["teacher"], raw["student"]
    seeds = len(student["seeds"]) * (1 if student.get("pairing") == "paired" else len(teacher.get("seeds", [0])))
    grid = len(teacher["label_smoothing"]), len(student["temperatures"]), seeds
    table = paper_table(text)
    students = [value for row, values in table.items() if row is not None for value in values]
    time = _TIME.search(header_line(text, "Hardware"))
    return Listed(
        about=text.splitlines()[0].removeprefix("#").strip(),
        data=str(raw["description"]).partition(",")[0],
        grid=grid,
        students=math.prod(grid) * (1 + len(student.get("models", []))),
        paper=max(students, default=None),
        time=time[0] if time else None,
    )


def paper_table(text: str) -> dict[int | None, tuple[float, float]]:
    """The paper's figures in a recipe's header: T (None: the teacher) → figures of α = 0 and α = 0.1."""
    return {int(t) if t else None: (float(plain), float(smoothed)) for _, t, plain, smoothed in _ROW.findall(text)}


def header_line(text: str, word: str) -> str:
    """What stands behind a word in a recipe's header, such as "Data", its continued lines included; empty without."""
    found, within = [], False
    for line in text.splitlines():
        within = line.startswith(f"# {word} ") or (within and line.startswith("#            "))
        if within:
            found.append(line.removeprefix("#").strip().removeprefix(word).strip())
    return " ".join(found)
