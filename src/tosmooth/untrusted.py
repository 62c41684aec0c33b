"""YAML, JSON and arrays of unknown origin: plain data of a bearable size, or refused with a reason in plain words."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tosmooth.errors import DataError
from tosmooth.files import readable
from tosmooth.yaml_traps import traps_in

LONGEST_YAML = 1_000_000  # characters; PyYAML reads some 100,000 a second, and a configuration has a few thousand
MOST_ENTRIES = 100_000  # of a YAML file: a few nested aliases can stand for more than memory holds
DEEPEST = 50
LARGEST_INTEGER_BITS = 512  # beyond it Python refuses to write a number, or to turn it into a float
_OF_ARRAYS = (
    OSError, ValueError, KeyError, EOFError, TypeError, AttributeError, RuntimeError, zipfile.BadZipFile,
)  # fmt: skip
_FOLDER_NAME = re.compile(r"[A-Za-z0-9._+-]{1,255}")


class UnreadableError(ValueError):
    """The text is not what it should be; each reason is what a sentence says of it: "is nested …"."""

    def __init__(self, *reasons: str) -> None:
        self.reasons = reasons
        super().__init__("; ".join(reasons))


class _Bounded(yaml.composer.Composer):
    """Stops at the level that is too deep: to go on to the depth where Python itself stops would take a second."""

    _depth = -1

    def compose_node(self, parent: Any, index: Any) -> Any:
        self._depth += 1
        if self._depth > DEEPEST:
            raise UnreadableError(f"is nested more than {DEEPEST} levels deep")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


class _Plain(_Bounded, yaml.SafeLoader):
    pass


class _Texts(_Bounded, yaml.BaseLoader):
    pass


def read_yaml(text: str, *, texts: bool = False) -> Any:
    """The plain data of a YAML text; no tag makes an object of any other kind.

    Args:
        text: the YAML.
        texts: leave every scalar the text that it is: `yes` and `007` are names, not true and 7.

    Raises:
        UnreadableError: not YAML, too large, too deep, or it refers to itself; or keys that stand twice, and numbers
            that look like those of another base, all of them.
    """
    if len(text) > LONGEST_YAML:
        raise UnreadableError(f"is larger than {LONGEST_YAML:,} characters")
    try:
        loader = _Texts(text) if texts else _Plain(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _walk(node, _parts_of_node)  # before any alias is followed
            if traps := traps_in(node, loader):
                raise UnreadableError(*traps)
            value = loader.construct_document(node)
        finally:
            loader.dispose()
    except UnreadableError:
        raise
    except RecursionError:
        raise UnreadableError(f"is nested more than {DEEPEST} levels deep") from None
    except yaml.YAMLError as error:
        raise UnreadableError(f"is not readable as YAML: {' '.join(str(error).split())}") from None
    except Exception as error:  # PyYAML's constructors let through whatever int(), float() and datetime raise
        reason = f"a value does not fit its type ({type(error).__name__}: {error})"
        raise UnreadableError(f"is not readable as YAML: {reason}") from None
    check_plain(value)
    return value


@contextmanager
def reading_arrays(path: Path, *others: type[Exception]) -> Iterator[None]:
    """Within it, whatever a damaged or hostile file of arrays makes its reader raise is one sentence.

    Args:
        path: of the file.
        *others: what the reader raises besides, by a library's own name.

    Raises:
        DataError: instead of all of that; one that is raised within stays as it is.
    """
    try:
        readable(path)
        yield
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except MemoryError:
        raise DataError(f"{path}: says that it holds more than memory does") from None
    except Exception as error:
        if not isinstance(error, (*_OF_ARRAYS, *others)):
            raise
        reason = " ".join(str(error).split())[:200]
        hint = "; names are texts, as np.array(list_of_strings) makes them" if "pickle" in reason else ""
        raise DataError(f"{path}: cannot be read, it may be damaged: {reason}{hint}") from None


def read_json(text: str) -> Any:
    """The data of a JSON text.

    Raises:
        UnreadableError: not JSON, or too deep.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise UnreadableError(f"is nested more than {DEEPEST} levels deep") from None
    except ValueError as error:
        raise UnreadableError(f"is not readable as JSON: {error}") from None
    check_plain(value, most=None)
    return value


def check_plain(value: Any, *, most: int | None = MOST_ENTRIES) -> None:
    """Refuse nested data that could not be copied, compared, printed or written again.

    Args:
        most: entries allowed, repetitions included; None where the text itself is the bound.

    Raises:
        UnreadableError: too many entries, too deep or self-referring, binary data, sets, numbers of hundreds of digits,
            or text that is not valid Unicode.
    """
    _walk(value, _parts_of_value, most)


def _walk(root: Any, parts: Callable[[Any], Iterable[Any]], most: int | None = MOST_ENTRIES) -> None:
    """Visit all entries without recursion, repeated ones as often as they are repeated."""
    waiting, seen = [(root, 0)], 0
    while waiting:
        entry, depth = waiting.pop()
        seen += 1
        if depth > DEEPEST:
            raise UnreadableError(f"is nested more than {DEEPEST} levels deep, or it refers to itself")
        if most is not None and seen + len(waiting) > most:
            raise UnreadableError(f"holds more than {most:,} values, counting what aliases repeat")
        waiting += [(part, depth + 1) for part in parts(entry)]


def _parts_of_node(node: yaml.Node) -> Iterable[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else ()


def _parts_of_value(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return [part for pair in value.items() for part in pair]
    if isinstance(value, list | tuple):
        return value
    if isinstance(value, bytes | bytearray | set | frozenset):
        raise UnreadableError(f"holds {type(value).__name__}; expected text, numbers, true, false, lists and mappings")
    if isinstance(value, int) and value.bit_length() > LARGEST_INTEGER_BITS:
        raise UnreadableError("holds a number of more than 150 digits")
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise UnreadableError("holds text that is not valid Unicode") from None
    return ()


def is_folder_name(name: str) -> bool:
    """Whether a name, such as a student's in anybody's results.csv, can be that of a folder below, and leads nowhere
    else."""
    return bool(_FOLDER_NAME.fullmatch(name)) and bool(name.strip("."))
