"""SHA-256 of what a study keeps: where the sum of each file stands, and whether the file is still what was written.

A sum is written with the thing that makes its file count, so that no kill parts the two:

- a JSON object holds its own, of its other content and of its name (`sealed`);
- a finished model's record holds those of the model's other files under `files`;
- `sums.json` beside the study's tables holds theirs. It is written first and allows the new content and the old one,
  so that either of them is right if a kill comes in between.

What an earlier version wrote has no sum and is read as it is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from tosmooth.errors import StudyError
from tosmooth.files import file_digest, write_bytes, write_text
from tosmooth.folder.paths import (
    ANALYSIS,
    CENTROIDS_FILE,
    CONFIG_FILE,
    CURVE_FILE,
    FEATURES_FILE,
    JUDGED_FILE,
    LAST_WEIGHTS_FILE,
    RECORD_FILE,
    RELIABILITY_FILE,
    STUDENTS,
    SUMS_FILE,
    TEACHERS,
    TRANSLATIONS_FILE,
    VOCABULARY_FOLDER,
    WEIGHTS_FILE,
)
from tosmooth.folder.remedies import remedy_of
from tosmooth.untrusted import read_json

OWN = "sha256"  # key of a JSON object's own sum
FILES = "files"  # key of sums of other files, by path from the folder of the file that holds them
OF_TEST = (JUDGED_FILE, RELIABILITY_FILE, TRANSLATIONS_FILE)  # written again when the test split is read
OF_MODEL = (WEIGHTS_FILE, LAST_WEIGHTS_FILE, CURVE_FILE, CENTROIDS_FILE, FEATURES_FILE, VOCABULARY_FOLDER, *OF_TEST)
NOT_WRITTEN = "is damaged: its content is not what was written"
_FIRST_LINE = "# sha256 of the lines below: "  # of `study.yaml`; a file that was cut off still has it
_SPEED = "samples_per_second"  # of a curve: it differs from run to run, and no result depends on it


# A JSON object with its own sum


def sealed(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    """An object of plain JSON with its own sum as its last entry.

    Args:
        value: the object; an older sum in it is replaced.
        name: of its file; of a file that each model has, with the model's before it (`title_of`).
    """
    content = {key: item for key, item in value.items() if key != OWN}
    return {**content, OWN: _sum_of(content, name)}


def opened(value: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    """The object without its sum; None where its content is not what was written."""
    content = {key: item for key, item in value.items() if key != OWN}
    return content if OWN not in value or value[OWN] == _sum_of(content, name) else None


def title_of(path: Path, model: str | None = None) -> str:
    """By what name a file's own sum knows it: of a model's file, `<model>/<file>`, so that no two can change places."""
    if path.name == SUMS_FILE and path.parent.name == ANALYSIS:
        return f"{ANALYSIS}/{SUMS_FILE}"
    return path.name if model is None else f"{model}/{path.name}"


def _sum_of(content: Mapping[str, Any], name: str) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{name}\n{text}".encode()).hexdigest()


# The text of `study.yaml`


def sealed_text(text: str) -> str:
    """A YAML text with its sum in a comment before it."""
    return f"{_FIRST_LINE}{hashlib.sha256(text.encode()).hexdigest()}\n{text}"


def holds_text(text: str) -> bool | None:
    """Whether a YAML text is what was written; None where it has no sum."""
    first, _, rest = text.partition("\n")
    if not first.startswith(_FIRST_LINE):
        return None
    return first.removeprefix(_FIRST_LINE).strip() == hashlib.sha256(rest.encode()).hexdigest()


def check_config(path: Path) -> None:
    """Refuse a `study.yaml` that is not what the study wrote, before others read it.

    Raises:
        StudyError: it is not.
    """
    check_text(path, path.read_text(encoding="utf-8", errors="replace"))


def check_text(path: Path, text: str) -> None:
    """The same of its text.

    Raises:
        StudyError: it is not.
    """
    if holds_text(text) is False:
        raise StudyError(f"{path} {NOT_WRITTEN}; {remedy_of(path)}")


# Files by their sum


def file_sum(path: Path) -> str:
    """SHA-256 of a file's content, hex; a curve without its speeds. Read once, until it changes.

    Raises:
        OSError: it cannot be read.
    """
    there = path.stat()
    return _file_sum(str(path.absolute()), there.st_ino, there.st_size, there.st_mtime_ns)


@lru_cache(maxsize=65536)
def _file_sum(path: str, _inode: int, _size: int, _changed: int) -> str:
    file = Path(path)
    if file.name == CURVE_FILE:
        return _curve_sum(file)
    return file_digest(file)


def _curve_sum(file: Path) -> str:
    """Of what a curve holds beside its speeds; of one that cannot be read, of its bytes."""
    content = file.read_bytes()
    try:
        records = [read_json(line) for line in content.decode().splitlines()]
        kept = [{key: value for key, value in record.items() if key != _SPEED} for record in records]
        content = json.dumps(kept, sort_keys=True).encode()
    except (ValueError, AttributeError):
        pass
    return hashlib.sha256(content).hexdigest()


def sums_of_model(folder: Path, names: Iterable[str] = OF_MODEL) -> dict[str, str]:
    """The sums of those of a model's files that are there, by path in its folder; a folder stands for its files."""
    found: dict[str, str] = {}
    for name in names:
        path = folder / name
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        found |= {file.relative_to(folder).as_posix(): file_sum(file) for file in files if file.is_file()}
    return found


def sums_in(holder: Path, model: str | None = None) -> dict[str, list[str]]:
    """The sums of other files that a JSON file holds: any of a list is right. Empty where it is missing or has none.

    Raises:
        StudyError: it is damaged.
    """
    if not holder.is_file():
        return {}
    try:
        value = read_json(holder.read_text(encoding="utf-8"))
    except ValueError:
        value = None
    content = opened(value, title_of(holder, model)) if isinstance(value, dict) else None
    if content is None:
        raise StudyError(f"{holder} is damaged; {remedy_of(holder)}")
    found = content.get(FILES)
    below = {  # a stranger's study may name any file
        name: own
        for name, own in (found if isinstance(found, dict) else {}).items()
        if not Path(name).is_absolute() and ".." not in Path(name).parts
    }
    return {name: [str(one) for one in own] if isinstance(own, list) else [str(own)] for name, own in below.items()}


def check_model_file(path: Path, folder: Path | None = None) -> None:
    """Refuse a file of a finished model that is not what the model's record says; a missing one is left to its reader.

    Args:
        path: of the file.
        folder: of the model; None = the one that the file lies in.

    Raises:
        StudyError: the file, or the record, is damaged.
    """
    folder = folder or path.parent
    _check(path, sums_in(folder / RECORD_FILE, folder.name).get(path.relative_to(folder).as_posix()))


def check_model(folder: Path) -> None:
    """The same of all files of a finished model."""
    for name in sums_in(folder / RECORD_FILE, folder.name):
        check_model_file(folder / name, folder)


def check_weights(path: Path) -> None:
    """The same of weights, wherever they lie: of those in no study's folder, nothing is known."""
    path = path.absolute()
    models = path.parent.parent
    if models.name in {TEACHERS, STUDENTS} and (models.parent / CONFIG_FILE).is_file():
        check_model_file(path)


def check_kept(path: Path, sums: str = SUMS_FILE) -> None:
    """Refuse a file that is not what its sum beside it says; a missing one is left to its reader.

    Args:
        path: of the file.
        sums: name of the JSON file in its folder that holds the sum.

    Raises:
        StudyError: the file, or the one that holds its sum, is damaged.
    """
    _check(path, sums_in(path.parent / sums).get(path.name))


def _check(path: Path, sums: list[str] | None) -> None:
    if sums is not None and path.is_file() and file_sum(path) not in sums:
        raise StudyError(f"{path} {NOT_WRITTEN}; {remedy_of(path)}")


def write_kept(folder: Path, contents: Mapping[str, bytes], sums: Path | None = None) -> None:
    """Write files, each in one step, with their sums.

    Args:
        folder: that they lie in.
        contents: by path in the folder.
        sums: file of the sums; None = `sums.json` in that folder.
    """
    sums = sums or folder / SUMS_FILE
    try:
        known = sums_in(sums)
    except StudyError:  # what it held is written again sooner or later, as it is now
        known = {}
    new = {name: [hashlib.sha256(content).hexdigest()] for name, content in contents.items()}
    there = {name: [file_sum(folder / name)] for name in contents if (folder / name).is_file()}
    # An old file is right until it is replaced, if it was right before.
    either = {name: own for name, own in there.items() if own != new[name] and own[0] in known.get(name, [])}
    ahead = known | {name: own + either.get(name, []) for name, own in new.items()}
    if ahead != known:
        _write_sums(sums, ahead)
    for name, content in contents.items():
        write_bytes(folder / name, content)
    if ahead != known | new:
        _write_sums(sums, known | new)


def remove_kept(folder: Path, name: str, sums: Path | None = None) -> None:
    """Delete a file that `write_kept` wrote, and its sum first; `name` is its path in the folder."""
    sums = sums or folder / SUMS_FILE
    known = sums_in(sums)
    if known.pop(name, None) is not None:
        _write_sums(sums, known)
    (folder / name).unlink(missing_ok=True)


def _write_sums(path: Path, known: Mapping[str, list[str]]) -> None:
    value = sealed({FILES: dict(sorted(known.items()))}, title_of(path))
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")
