"""Write what shell completion knows of the configuration's schema and of the registries.

    python -m scripts.write_completion_keys

A shell waits for its offers, and the schema takes seconds to import, PyTorch included; so they lie in a file.
"""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Iterable
from functools import reduce
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tosmooth.config.schema import ModelConfig, StudyConfig
from tosmooth.data.augmentation import eval_transform_names, train_transform_names
from tosmooth.data.registry import image_sources
from tosmooth.data.translation.registry import translation_sources
from tosmooth.export.formats import FORMATS
from tosmooth.losses.objectives import student_objectives
from tosmooth.models.cifar_resnet import NAMES
from tosmooth.models.translation_marian import ARCHITECTURES
from tosmooth.plugins import KINDS
from tosmooth.plugins import names as added_names
from tosmooth.recipes import DEFAULT_RECIPE
from tosmooth.recipes.reading import read_source
from tosmooth.tasks.find import task_names, usable_tasks

TARGET = Path(__file__).parents[1] / "src" / "tosmooth" / "cli" / "completion_keys.json"
PREFIXES = ("timm:", "torchvision:", "hf:")


# Keys whose values are looked up with the whole configuration, so that the schema does not list them.
REGISTRIES: dict[str, Callable[[], Iterable[str]]] = {
    "data.source": lambda: [*image_sources(), *translation_sources()],
    "data.train_augmentation": train_transform_names,
    "data.eval_transform": eval_transform_names,
    "student.objectives": student_objectives,
    "task": task_names,
}


def keys(section: type[BaseModel] = StudyConfig, prefix: str = "") -> dict[str, dict[str, Any]]:
    """Every dotted key of the schema: its help, its default and the values it may have, as they are written."""
    found: dict[str, dict[str, Any]] = {}
    for name, field in section.model_fields.items():
        key, inner = f"{prefix}{name}", _section(field.annotation)
        if inner is ModelConfig:
            found[key] = {"help": "a model by name", "default": None, "values": _models()}
        if inner is not None:
            found |= keys(inner, f"{key}.")
        else:
            registry = REGISTRIES.get(key) or (_models if section is ModelConfig and name == "name" else None)
            values = _own(registry() if registry else _values(field))
            found[key] = {"help": field.description or "", "default": _default(field, key), "values": values}
    return found


def all_keys() -> dict[str, dict[str, Any]]:
    """The keys of all studies, and those that tasks add."""
    found = keys()
    for task in usable_tasks().values():
        found = {**keys(task.schema), **found}
    return dict(sorted(found.items()))


def _own(names: Iterable[str]) -> list[str]:
    """Without what other packages add on this machine; the shell's machine has its own."""
    added = {name for kind in KINDS for name in added_names(kind)}
    return [name for name in dict.fromkeys(names) if name not in added]


def _models() -> list[str]:
    return [*NAMES, *ARCHITECTURES, *PREFIXES]


def _section(annotation: Any) -> type[BaseModel] | None:
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _values(field: FieldInfo) -> Iterable[str]:
    yield from _of_type(field.annotation)


def _of_type(annotation: Any) -> Iterable[str]:
    origin, inside = get_origin(annotation), get_args(annotation)
    if annotation is bool:
        yield from ("true", "false")
    elif origin is Literal:
        yield from map(_written, inside)
    elif origin is Annotated:
        yield from _of_type(inside[0])
    elif origin in {Union, types.UnionType, list}:
        for part in inside:
            yield from _of_type(part)


def _default(field: FieldInfo, key: str) -> str | None:
    """As a person writes it; of required keys what the default recipe has; None where it is a mapping."""
    if field.is_required():
        value = reduce(lambda section, name: section[name], key.split("."), read_source(DEFAULT_RECIPE))
    else:
        value = field.get_default(call_default_factory=True)
    return None if isinstance(value, dict | BaseModel) else _written(value)


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def content() -> str:
    """The file's text."""
    found = {
        "keys": all_keys(),
        "data_sources": _own(REGISTRIES["data.source"]()),
        "formats": list(FORMATS),
        "prefixes": list(PREFIXES),
        "roles": ["student", "teacher"],
        "splits": ["train", "validation", "test"],
        "planes": ["algorithm1", "templates"],
        "engines": ["local", "ray"],
    }
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    TARGET.write_text(content(), encoding="utf-8")
