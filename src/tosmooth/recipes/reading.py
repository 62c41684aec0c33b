"""From a recipe's name or a YAML file and `key=value` overrides to a checked `StudyConfig`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tosmooth.config.schema import StudyConfig
from tosmooth.config.types import as_average_section, as_cache_section, as_model_section
from tosmooth.errors import ConfigError
from tosmooth.folder.older import without_leftovers
from tosmooth.recipes import DEFAULT_RECIPE, recipe_text
from tosmooth.recipes.mistakes import find_mistakes, schema_of, task_of
from tosmooth.tasks.base import QUICK
from tosmooth.terminal import shortened, shown
from tosmooth.untrusted import UnreadableError, check_plain, read_yaml

# Sections that one value may stand for.
SHORT_FOR = {"model": as_model_section, "cache": as_cache_section, "moving_average": as_average_section}


def read_source(source: str) -> dict[str, Any]:
    """The raw mapping of a recipe's name or a YAML file's path.

    Raises:
        ConfigError: neither a recipe nor a file, or not a YAML mapping.
    """
    name = shortened(shown(source))
    text = _text_of(Path(source), name) if Path(source).suffix in {".yaml", ".yml"} else recipe_text(source)
    try:
        raw = read_yaml(text)
    except UnreadableError as error:
        raise ConfigError([f"{name} {shortened(shown(reason))}" for reason in error.reasons]) from None
    if not isinstance(raw, dict):
        raise ConfigError([f"{name}: expected a mapping of keys to values, found {type(raw).__name__}"])
    return raw


def _text_of(path: Path, name: str) -> str:
    try:
        if not path.is_file():
            raise ConfigError([f"{name}: no such file"])
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ConfigError([f"{name} is not readable as YAML: it is no UTF-8 text"]) from None
    except OSError as error:
        raise ConfigError([f"{name}: cannot be read: {error.strerror}"]) from None


def parse_override(text: str) -> tuple[str, Any]:
    """Split `student.epochs=3` into its dotted key and its value, read as YAML.

    Raises:
        ConfigError: there is no `=`, or the value is not YAML.
    """
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise ConfigError([f"override {shortened(repr(text))}: expected key=value, for example student.epochs=3"])
    try:
        return key.strip(), read_yaml(value)
    except UnreadableError as error:
        raise ConfigError([f"override {shortened(repr(text))}: the value {shortened(shown(str(error)))}"]) from None


def apply_override(raw: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key in place; on the way, what is short for a section, such as `cache: 4`, grows into it."""
    *parents, last = key.split(".")
    node = raw
    for parent in parents:
        child = node.get(parent)
        if parent in SHORT_FOR and child is not None:
            with suppress(ValueError):  # of a value that is no short form, and gives way to the section
                child = SHORT_FOR[parent](child)
        node[parent] = child if isinstance(child, dict) else {}
        node = node[parent]
    node[last] = value


def load_config(
    source: str | Mapping[str, Any] = DEFAULT_RECIPE, overrides: Sequence[str] = (), *, quick: bool = False
) -> StudyConfig:
    """Read, override and check a study's configuration.

    Args:
        source: a recipe's name, the path of a YAML file, or a mapping.
        overrides: `key=value` texts, applied in order after `quick`.
        quick: apply what the task has for a quick preview, and add `-quick` to the name.

    Raises:
        ConfigError: lists every mistake found, each with its key, what was given and what would be right.
    """
    raw = _apart(read_source(source)) if isinstance(source, str) else _own_copy(source)
    mistakes: list[str] = []
    if quick:
        raw["name"] = f"{raw.get('name', 'study')}-quick"
        for key, value in (QUICK if (task := task_of(raw)) is None else task.quick).items():
            apply_override(raw, key, value)
        _keep_one_teacher_seed(raw)
    for text in overrides:
        try:
            apply_override(raw, *parse_override(text))
        except ConfigError as error:
            mistakes += error.mistakes
    try:
        check_plain(raw)  # once more: overrides may have nested it
    except UnreadableError as error:
        raise ConfigError([*mistakes, f"with the overrides, the configuration {error}"]) from None
    raw = without_leftovers(raw, schema_of(raw))
    _pair_seeds(raw)
    mistakes += find_mistakes(raw)
    if mistakes:
        raise ConfigError(mistakes)
    return schema_of(raw).model_validate(raw)


def _keep_one_teacher_seed(raw: dict[str, Any]) -> None:
    """A preview has one teacher of each kind; where files are given for several seeds, all stay."""
    teacher, student = raw.get("teacher"), raw.get("student")
    if not isinstance(teacher, dict) or teacher.get("given"):
        return
    if isinstance(teacher.get("seeds"), list):
        teacher["seeds"] = teacher["seeds"][:1]
    if isinstance(student, dict):
        student.pop("pairing", None)


def _pair_seeds(raw: dict[str, Any]) -> None:
    """Paired seeds are the same for teachers and students, unless teachers are given seeds of their own."""
    teacher, student = raw.get("teacher"), raw.get("student")
    if not isinstance(teacher, dict) or not isinstance(student, dict) or student.get("pairing") != "paired":
        return
    if "seeds" in student and "seeds" not in teacher:
        seeds = student["seeds"]
        teacher["seeds"] = list(seeds) if isinstance(seeds, list) else seeds


def _own_copy(source: Mapping[str, Any]) -> Any:
    try:
        check_plain(source)
    except UnreadableError as error:
        raise ConfigError([f"the configuration {error}"]) from None
    return _apart(source)


def _apart(value: Any) -> Any:
    """A copy in which nothing stands twice: an override of one place must not reach those that an alias repeats."""
    if isinstance(value, Mapping):
        return {key: _apart(entry) for key, entry in value.items()}
    return [_apart(entry) for entry in value] if isinstance(value, list | tuple) else value
