"""Is everything in a study's folder what the study wrote? One answer per file, and what to do where it is not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tosmooth.errors import StudyError
from tosmooth.folder.agreement import REMEDY, disagreements
from tosmooth.folder.paths import (
    ADVICE_FILE,
    CHECKPOINTS,
    CONFIG_FILE,
    EXPORT,
    GIVEN_NOTE_FILE,
    RECORD_FILE,
    REPORT_SUMS_FILE,
    SEPARATION_FILE,
    STUDENTS,
    SUMS_FILE,
    TEACHER_VIEWS_FILE,
    TEACHERS,
    TRACKING,
    StudyDirectory,
    is_former_advice,
)
from tosmooth.folder.reading import read_table
from tosmooth.folder.remedies import DISPENSABLE, KNOWN, remedy_of
from tosmooth.folder.sums import NOT_WRITTEN, OWN, file_sum, holds_text, opened, sums_in, title_of
from tosmooth.untrusted import is_folder_name, read_json

State = Literal["ok", "not recorded", "removed", "damaged", "missing"]
OF_EACH_MODEL = {RECORD_FILE, SEPARATION_FILE, TEACHER_VIEWS_FILE}  # they know whose they are
CARD = "README.md"
OF_OTHERS = {CHECKPOINTS, TRACKING, EXPORT}  # folders whose JSON has no sum of this kind


@dataclass(frozen=True)
class Checked:
    """What was found of one file.

    Attributes:
        file: its path in the study, with `/`.
        state: "ok": it is what was written; "not recorded": nothing says what it should be, as of earlier versions,
            or its owner may change it; "removed": it was written and is not there, which costs what it showed alone;
            "damaged"; "missing": it was written, is not there, and something needs it.
        why: what is wrong, as the end of a sentence; empty where nothing is.
        remedy: what to do then.
    """

    file: str
    state: State
    why: str = ""
    remedy: str = ""

    @property
    def holds(self) -> bool:
        """Whether nothing is known to be wrong."""
        return self.state in {"ok", "not recorded", "removed"}


def verify(path: Path) -> list[Checked]:
    """Look at every file of a study, and at what should be there; nothing is written.

    Returns:
        One entry per file, by path.

    Raises:
        StudyError: the folder is no study, or a file cannot be read.
    """
    directory = StudyDirectory(path)
    if not directory.config.is_file():
        raise StudyError(f"{path} is not a study: it has no {CONFIG_FILE}")
    there = sorted(file for file in path.rglob("*") if not file.is_dir())
    recorded = _recorded(directory, there)
    try:
        found = {file: _checked(path, file, recorded.get(file)) for file in there}
    except OSError as error:
        raise StudyError(f"{path} cannot be read: {error}") from None
    for file in recorded.keys() - found.keys():
        gone: State = "removed" if file.name in DISPENSABLE else "missing"
        found[file] = Checked(_name(path, file), gone, "was written, and is not there", remedy_of(file))
    for file, why in _at_odds(directory, found):
        if file not in found or found[file].holds:
            state: State = "damaged" if file in found else "missing"
            found[file] = Checked(_name(path, file), state, why, REMEDY)
    return [found[file] for file in sorted(found)]


def _name(path: Path, file: Path) -> str:
    return file.relative_to(path).as_posix()


def _recorded(directory: StudyDirectory, there: list[Path]) -> dict[Path, list[str]]:
    """The sums that other files hold, by path; a damaged holder is found as a file."""
    models = directory.teachers, directory.students
    holders = [(file, file.parent, file.parent.name) for file in there if file.name == RECORD_FILE]
    holders = [holder for holder in holders if holder[1].parent in models]
    found: dict[Path, list[str]] = {}
    others = [(folder / SUMS_FILE, folder) for folder in (directory.path, directory.analysis)]
    others += [(directory.state / REPORT_SUMS_FILE, directory.path)]
    others += [(file, file.parent) for file in there if file.parent == directory.path / EXPORT and _is_json(file)]
    others += [(file, file.parent) for file in there if file.name == GIVEN_NOTE_FILE]
    for holder, folder, model in [*holders, *((file, folder, None) for file, folder in others)]:
        try:
            sums = {folder / name: own for name, own in sums_in(holder, model).items()}
        except StudyError:
            continue
        # Of an export, the card is for its owner to fill in.
        found |= {file: own for file, own in sums.items() if file != directory.path / EXPORT / CARD}
    return found


def _is_json(file: Path) -> bool:
    return file.suffix == ".json"


def _checked(path: Path, file: Path, sums: list[str] | None) -> Checked:
    name = _name(path, file)
    if not file.is_file():  # a link to nowhere, a pipe: opening it might wait for ever
        return Checked(name, "damaged", "is no file, or a link that leads nowhere", remedy_of(file))
    if sums is not None:
        holds: bool | None = file_sum(file) in sums
    elif name == CONFIG_FILE:
        holds = holds_text(file.read_text(encoding="utf-8", errors="replace"))
    elif _is_json(file) and not OF_OTHERS & set(name.split("/")[:2]):
        holds = _holds_json(file, name.split("/"))
    else:
        holds = None
    if holds is False:
        return Checked(name, "damaged", NOT_WRITTEN, remedy_of(file))
    return Checked(name, "not recorded" if holds is None else "ok")


def _holds_json(file: Path, parts: list[str]) -> bool | None:
    """Whether a JSON file is what was written; None where it has no sum."""
    try:
        value: Any = read_json(file.read_text(encoding="utf-8"))
    except ValueError:
        return (
            False if len(parts) > 1 or file.name in KNOWN else None
        )  # beside the study's files lies what anybody puts
    if not isinstance(value, dict) or OWN not in value:
        return None
    of_model = len(parts) == 3 and parts[0] in {TEACHERS, STUDENTS} and file.name in OF_EACH_MODEL
    title = ADVICE_FILE if is_former_advice(file.name) else title_of(file, parts[1] if of_model else None)
    return opened(value, title) is not None


def _at_odds(directory: StudyDirectory, found: dict[Path, Checked]) -> Iterator[tuple[Path, str]]:
    """Tables that do not say what the records say, and records that a table speaks of and nobody finds."""
    for path, key, folder in (
        (directory.teacher_results, "teacher", directory.teachers),
        (directory.results, "cell", directory.students),
        (directory.control_results, "cell", directory.students),
    ):
        if path not in found or found[path].state == "damaged":
            continue
        try:
            table = read_table(path)
        except StudyError as error:
            yield path, str(error).removeprefix(str(path)).strip()
            continue
        if key not in table or "status" not in table:
            continue
        for name in table[key][table["status"] != "missing"].map(str):
            if is_folder_name(name) and folder / name / RECORD_FILE not in found:
                yield folder / name / RECORD_FILE, f"is not there, though {path.name} has its figures"
        sound = table[[found.get(folder / str(name) / RECORD_FILE, _NONE).holds for name in table[key]]]
        for name, column, shown, recorded in disagreements(sound, key, folder):
            yield path, f"says {column} = {shown} of {name}, but its record says {recorded}"


_NONE = Checked("", "missing")
