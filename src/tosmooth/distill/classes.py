"""Which output of a teacher stands for which class of the data: by name, by order, by a class map, or not at all."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from tosmooth.errors import ConfigError, did_you_mean
from tosmooth.files import readable
from tosmooth.terminal import shown
from tosmooth.untrusted import UnreadableError, read_yaml

How = Literal["same names", "other order", "by name", "in order", "class map"]
WORDS: Mapping[str, str] = {
    "same names": "has the data's classes",
    "other order": "has the data's classes in another order; its outputs were put into the data's, by name",
    "by name": "knows the data's classes among others; its outputs for them were chosen by name",
    "in order": "has as many classes as the data; no names tell which is which, so the same order was assumed",
    "class map": "was mapped to the data's classes by the class map",
}
MOST_SHOWN = 12  # class names in a message
MOST_MISTAKES = 20


@dataclass(frozen=True)
class TeacherClasses:
    """What is known of a teacher's outputs.

    Attributes:
        count: how many there are.
        names: all known names of each output, the one for people first; empty where none are known.
    """

    count: int
    names: tuple[tuple[str, ...], ...] = ()

    @property
    def shown(self) -> tuple[str, ...]:
        """One name for each output; its number where there is none."""
        if not self.names:
            return tuple(f"output {index}" for index in range(self.count))
        return tuple(names[0] if names else f"output {index}" for index, names in enumerate(self.names))


@dataclass(frozen=True)
class Outputs:
    """The teacher's output for each class of the data, and how they were found."""

    index: tuple[int, ...]
    how: How


def match(classes: Sequence[str], theirs: TeacherClasses) -> Outputs | None:
    """The teacher's output for each class; None where that cannot be told.

    Args:
        classes: of the data, in their order.
        theirs: what is known of the teacher's.
    """
    find = _finder(theirs)
    exact = [find(name, exactly=True) for name in classes]
    taken = {place for places in exact for place in places}
    found = [own or find(name) - taken for name, own in zip(classes, exact, strict=True)]
    if theirs.names and all(len(places) == 1 for places in found):
        indices = tuple(next(iter(places)) for places in found)
        if len(set(indices)) == len(indices):
            if theirs.count != len(classes):
                return Outputs(indices, "by name")
            return Outputs(indices, "same names" if indices == tuple(range(len(classes))) else "other order")
    # As many classes, called otherwise: their order is a guess, which names at other places would contradict.
    if theirs.count == len(classes) and all(not places or place in places for place, places in enumerate(found)):
        return Outputs(tuple(range(len(classes))), "in order")
    return None


def read_class_map(path: Path, classes: Sequence[str], theirs: TeacherClasses) -> Outputs:
    """The teacher's output for each class as a file says: YAML or CSV, class of the data → teacher's class or number.

    Raises:
        ConfigError: all that is wrong with it.
    """
    composed = {_composed(name): name for name in classes}
    read = {name if name in classes else composed.get(_composed(name), name): to for name, to in _read(path).items()}
    given = _without_header(read, classes) if path.suffix.lower() == ".csv" else read
    mistakes, indices, unknown = [], {}, 0
    find = _finder(theirs)
    for name, target in given.items():
        if name not in classes:
            mistakes.append(f"unknown class of the data {_short(name)!r}; {_near(name, classes)}")
            unknown += 1
            continue
        places = _places(target, theirs.count, find)
        if len(places) != 1:
            trouble = "unknown" if not places else f"ambiguous (outputs {', '.join(map(str, places))})"
            known = theirs.shown if theirs.names else [f"0 to {theirs.count - 1}"]
            mistakes.append(
                f"{_short(name)}: {trouble} class of the teacher {_short(target)!r}; {_near(target, known)}"
            )
            continue
        indices[name] = places[0]
    missing = [name for name in classes if name not in given]
    if len(missing) > unknown:  # else they are those that are misspelt
        count = "1 class of the data is" if len(missing) == 1 else f"{len(missing)} classes of the data are"
        mistakes.append(f"{count} missing: {listed(missing)}")
    for index in sorted({place for place in indices.values() if list(indices.values()).count(place) > 1}):
        doubled = [name for name, place in indices.items() if place == index]
        mistakes.append(
            f"{listed(doubled)}: stand for one output of the teacher ({theirs.shown[index]}); give one each"
        )
    if mistakes:
        more = [f"… and {len(mistakes) - MOST_MISTAKES} more"] if len(mistakes) > MOST_MISTAKES else []
        raise ConfigError([f"--class-map {path}: {text}" for text in [*mistakes[:MOST_MISTAKES], *more]])
    return Outputs(tuple(indices[name] for name in classes), "class map")


def refusal(teacher: str, classes: Sequence[str], theirs: TeacherClasses) -> str:
    """Why a teacher cannot be taken as it is, with both lists, and what can be done."""
    return (
        f"the classes of {teacher} are not the data's. Its {theirs.count}: {listed(theirs.shown)}. "
        f"The data's {len(classes)}: {listed(classes)}. Fine-tune it on the data first (--fine-tune), or say which of "
        "its classes is which of yours (--class-map FILE, lines such as `cat: tabby`), or choose another teacher"
    )


def listed(names: Sequence[str], most: int = MOST_SHOWN) -> str:
    """Names for a message, shortened."""
    return ", ".join(_short(name) for name in names[:most]) + (", …" if len(names) > most else "")


class _Finder(Protocol):
    def __call__(self, name: str, /, *, exactly: bool = False) -> set[int]: ...


def _finder(theirs: TeacherClasses) -> _Finder:
    """From a name to the outputs that have it: as it is written, or else in any writing of it."""
    as_written: dict[str, set[int]] = {}
    plain: dict[str, set[int]] = {}
    for index, names in enumerate(theirs.names):
        for name in names:
            as_written.setdefault(_composed(name), set()).add(index)
            plain.setdefault(_plain(name), set()).add(index)

    def find(name: str, /, *, exactly: bool = False) -> set[int]:
        found = as_written.get(_composed(name), set())
        return found if found or exactly else plain.get(_plain(name), set())

    return find


def _composed(name: str) -> str:
    """A name whose accents are part of their letters: macOS writes folders with the accents apart."""
    return unicodedata.normalize("NFC", name)


def _plain(name: str) -> str:
    return _composed(re.sub(r"[\s_-]+", " ", name).strip().casefold())


def _short(value: object, most: int = 60) -> str:
    text = shown(str(value))
    return text if len(text) <= most else f"{text[:most]}…"


def _near(name: object, known: Sequence[str]) -> str:
    return did_you_mean(str(name), [_short(one) for one in known])


def _places(target: Any, count: int, find: Callable[[str], set[int]]) -> list[int]:
    """Outputs that a target may mean: a name goes before a number, as classes may be called by numbers."""
    named = sorted(find(str(target)))
    if named:
        return named
    text = str(target)
    return [int(text)] if text.isascii() and text.isdigit() and int(text) < count else []


def _without_header(given: dict[str, Any], classes: Sequence[str]) -> dict[str, Any]:
    """Without a first line that names the columns: no class, while all classes follow."""
    first, *others = given
    return {name: given[name] for name in others} if first not in classes and set(classes) <= set(others) else given


def _read(path: Path) -> dict[str, Any]:
    try:
        text = readable(path).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise ConfigError([f"--class-map {path}: cannot be read: {reason}"]) from None
    if path.suffix.lower() == ".csv":
        try:
            rows = [row for row in csv.reader(io.StringIO(text)) if row]
        except csv.Error as error:
            raise ConfigError([f"--class-map {path}: is not readable as CSV: {error}"]) from None
        if not rows or any(len(row) != 2 for row in rows):
            raise ConfigError([f"--class-map {path}: expected two columns, the data's class and the teacher's"])
        pairs = [(name.strip(), target.strip()) for name, target in rows]
    else:
        try:
            raw = read_yaml(text, texts=True)  # a class may be called yes, 007 or 1e3
        except UnreadableError as error:
            raise ConfigError([f"--class-map {path}: {_short(error, 300)}"]) from None
        if not isinstance(raw, dict):
            raise ConfigError(
                [f"--class-map {path}: expected lines such as `cat: tabby`, class of the data: teacher's"]
            )
        pairs = list(raw.items())
    names = [name for name, _ in pairs]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError([f"--class-map {path}: given twice: {listed(repeated)}"])
    return dict(pairs)
