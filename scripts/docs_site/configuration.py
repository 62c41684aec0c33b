"""The page of all configuration keys, made from the schema itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tosmooth.config.schema import StudyConfig
from tosmooth.data.augmentation import eval_transform_names, train_transform_names
from tosmooth.data.registry import image_sources
from tosmooth.data.translation.registry import translation_sources
from tosmooth.losses.objectives import student_objectives
from tosmooth.tasks.translation import Translation

# Keys whose values are names out of a registry, which the schema does not list.
NAMES: dict[str, Callable[[], Iterable[str]]] = {
    "data.source": lambda: (*image_sources(), *translation_sources()),
    "data.train_augmentation": train_transform_names,
    "data.eval_transform": eval_transform_names,
    "student.objectives": student_objectives,
}
HEAD = """# Configuration

Every key of a study, made from the schema. `tosmooth recipes copy fashion-mnist my-study.yaml`
writes a file to start from, `tosmooth validate my-study.yaml` prints it whole and names all mistakes at once, and any
key can be set on the command line: `student.temperatures=[1,4]`. Short forms: a single value for a list of one,
`model: resnet8` for `model: {name: resnet8}`, `cache: off` for `cache: {views: off}`.
"""
_LIMITS = {"minimum": "≥ {}", "exclusiveMinimum": "> {}", "maximum": "≤ {}", "exclusiveMaximum": "< {}"}


def sections(model: type[BaseModel] = StudyConfig, prefix: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """Each section of a schema by its dotted name, the study itself as the empty name, depth first."""
    yield prefix, model
    for name, field in model.model_fields.items():
        if inner := section_of(field):
            yield from sections(inner, f"{prefix}.{name}".lstrip("."))


def tables() -> Iterator[tuple[str, str, type[BaseModel], list[str]]]:
    """The heading, the dotted name, the section and its keys, table by table: all studies' first, then a task's own."""
    known: set[str] = set()
    for note, schema in (("", StudyConfig), (f" (task: {Translation.name})", Translation.schema)):
        for prefix, model in sections(schema):
            names = [name for name, field in model.model_fields.items() if section_of(field) is None]
            own = [name for name in names if f"{prefix}.{name}".lstrip(".") not in known]
            known |= {f"{prefix}.{name}".lstrip(".") for name in own}
            if own:
                yield f"`{prefix}`{note}" if prefix else "The study", prefix, model, own


def keys() -> list[str]:
    """Every dotted key that a study's configuration may set to a value of its own."""
    return [f"{prefix}.{name}".lstrip(".") for _, prefix, _, names in tables() for name in names]


def section_of(field: FieldInfo) -> type[BaseModel] | None:
    """The section that a field holds; None where it holds a value."""
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def page() -> str:
    """The page as Markdown: a heading and a table per section."""
    parts = [HEAD]
    for heading, prefix, model, names in tables():
        schema = model.model_json_schema()
        rows = [(name, model.model_fields[name]) for name in names]
        level = "##" if prefix.count(".") == 0 else "###"
        parts.append(f"{level} {heading}\n\n{_doc(model)}\n")
        parts.append("| key | what it may be | default | meaning |\n|---|---|---|---|")
        for name, field in rows:
            key = f"{prefix}.{name}".lstrip(".")
            words = _words(schema["properties"][name], schema.get("$defs", {}))
            if key in NAMES:
                words += ": " + " · ".join(f"`{known}`" for known in NAMES[key]())
            cells = [f"`{key}`", words, _default(field), field.description or ""]
            parts.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
        parts.append("")
    return "\n".join(parts)


def _doc(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split())


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "empty"
    if field.default is PydanticUndefined:
        return "*needed*"
    value = list(field.default) if isinstance(field.default, tuple) else field.default
    if value == "":
        return "empty"
    return f"`{value if isinstance(value, str | Path) else json.dumps(value)}`"


def _words(schema: dict[str, Any], sections_: dict[str, Any]) -> str:
    """A JSON schema in a few words."""
    if "$ref" in schema:
        return f"a {schema['$ref'].rpartition('/')[2].removesuffix('Config').lower()} section"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_words(part, sections_) for part in schema["anyOf"]))
    if "enum" in schema:
        return " · ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    kind = schema.get("type")
    if kind == "array":
        parts = schema.get("prefixItems")
        if parts:
            return f"list of {len(parts)}: {_words(parts[0], sections_)}"
        size = f" of {schema['minItems']}" if schema.get("minItems") == schema.get("maxItems") is not None else ""
        return f"list{size}: {_words(schema.get('items', {}), sections_)}"
    if kind == "object":
        inner = schema.get("additionalProperties")
        return f"mapping to {_words(inner, sections_)}" if isinstance(inner, dict) and inner else "mapping"
    if kind in {"integer", "number"}:
        limits = ", ".join(
            text.format(f"{schema[key]:,}".removesuffix(".0")) for key, text in _LIMITS.items() if key in schema
        )
        return f"{'whole number' if kind == 'integer' else 'number'}{' ' + limits if limits else ''}"
    if kind == "string":
        return "path" if schema.get("format") == "path" else "text"
    return {"boolean": "`true` · `false`", "null": "`null`"}.get(kind or "", "any value")
