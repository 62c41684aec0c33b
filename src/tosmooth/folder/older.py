"""What earlier versions wrote into a study's folder and no version writes any more, so that old studies still open."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

# 0.1.0 wrote the keys of sentences into every `study.yaml`, with these defaults where a study was of something else.
_OF_SENTENCES: Mapping[tuple[str, ...], Any] = {
    ("translation",): {"beam": 5, "length_penalty": 1.0},
    ("analysis", "tokens"): 100,
    ("data", "text"): {
        "source_language": "en",
        "target_language": "de",
        "vocabulary": 4000,
        "tokenizer": None,
        "lowercase": False,
        "max_length": 128,
        "max_ratio": 4.0,
    },
}


def without_leftovers(raw: Any, schema: type[BaseModel]) -> Any:
    """A raw configuration without what an earlier version wrote into it for nothing; what a person set stays.

    Args:
        raw: as it was read; left as it is.
        schema: of the study; keys that it has are no leftovers.
    """
    for keys, default in _OF_SENTENCES.items():
        if not _has(schema, keys) and _at(raw, keys) == default:
            raw = _without(raw, keys)
    return raw


def _has(schema: Any, keys: tuple[str, ...]) -> bool:
    for key in keys:
        fields = getattr(schema, "model_fields", {})
        if key not in fields:
            return False
        schema = fields[key].annotation
    return True


def _at(raw: Any, keys: tuple[str, ...]) -> Any:
    for key in keys:
        raw = raw.get(key) if isinstance(raw, Mapping) else None
    return raw


def _without(raw: Any, keys: tuple[str, ...]) -> Any:
    first, *others = keys
    if not others:
        return {key: value for key, value in raw.items() if key != first}
    return {**raw, first: _without(raw[first], tuple(others))}


# How the caveats began that earlier versions wrote as sentences, and their codes: of those that a report sees as well.
_CODES = {
    "Selection: the epoch": "chosen on test",
    "Selection: there is no": "no validation",
    "Preview:": "preview",
    "1 (teacher )?seed:": "one seed",
    "[0-9]+ (teacher )?seeds:": "few seeds",
    "[0-9]+ of [0-9]+ students did not finish": "not finished",
    "One teacher per α": "one teacher",
    "Some classes have fewer than": "few samples",
}


def as_written(part: Mapping[str, Any] | str) -> str | None:
    """The words that an earlier version wrote for a part of `analysis/advice.json`; None where it has facts."""
    if isinstance(part, str):
        return part
    return str(part["sentence"]) if "sentence" in part else None


def caveat_of(found: Any) -> Mapping[str, Any]:
    """A caveat with its code; earlier versions wrote a sentence alone, which is kept."""
    if isinstance(found, Mapping):
        return found
    text = str(found)
    return {"code": next((code for start, code in _CODES.items() if re.match(start, text)), ""), "sentence": text}
