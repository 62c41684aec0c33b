"""What YAML reads without a word, but not as its writer meant it: keys that stand twice, numbers of base 8 and 60."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]*[0-9][0-9_]*")  # 010, 08, 0_7, 00
_NEW_OCTAL = re.compile(r"[-+]?0[oO][0-7_]+")
_SIXTIES = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")


class _Quoting(yaml.SafeDumper):
    """Writes texts that look like such numbers in quotes, so that what is written is read again."""


def _quoted(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    looks = any(form.fullmatch(text) for form in (_LEADING_ZERO, _NEW_OCTAL, _SIXTIES))
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="'" if looks else None)


_Quoting.add_representer(str, _quoted)


def dump(value: Any, **options: Any) -> str:
    """A value as YAML in which this module finds no traps.

    Args:
        value: of plain types.
        options: of `yaml.dump`.
    """
    written: str = yaml.dump(value, Dumper=_Quoting, **options)
    return written


def traps_in(root: yaml.Node, loader: yaml.BaseLoader | yaml.SafeLoader) -> list[str]:
    """A sentence for each, with its key and line, to stand behind the name of what was read; in the order of lines.

    Args:
        root: of a document that has been found to be finite; what aliases repeat is looked at once.
        loader: that composed it; where it takes all for texts, numbers are none.
    """
    found: list[tuple[int, str]] = []
    seen: set[int] = set()
    waiting: list[tuple[yaml.Node, tuple[str, ...]]] = [(root, ())]
    while waiting:
        node, place = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            found += _repeated(node, place, loader)
            for key, value in node.value:
                waiting += [(key, place), (value, (*place, _text(key)))]
        elif isinstance(node, yaml.SequenceNode):
            waiting += [(part, place) for part in node.value]
        elif isinstance(loader, yaml.SafeLoader) and isinstance(node, yaml.ScalarNode) and node.style is None:
            found += _misread(node, place)
    return [sentence for _, sentence in sorted(found)]


def _repeated(
    node: yaml.MappingNode, place: tuple[str, ...], loader: yaml.BaseLoader | yaml.SafeLoader
) -> Iterator[tuple[int, str]]:
    lines: dict[object, list[yaml.Node]] = {}
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            value = key.value if key.tag.endswith(":merge") else loader.construct_object(key)
            lines.setdefault(value, []).append(key)  # as in a mapping of Python: 1, 1.0 and true are one key
    for keys in lines.values():
        if len(keys) > 1:
            numbers = [str(key.start_mark.line + 1) for key in keys]
            where = (
                f"lines {', '.join(numbers[:-1])} and {numbers[-1]}" if len(set(numbers)) > 1 else f"line {numbers[0]}"
            )
            yield (
                keys[0].start_mark.line,
                f"has the key {'.'.join((*place, _text(keys[0])))} {_times(len(keys))} ({where}); keep one",
            )


def _times(count: int) -> str:
    return "twice" if count == 2 else f"{count} times"


def _misread(node: yaml.ScalarNode, place: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    text: str = node.value
    line = node.start_mark.line
    has = f"has {text} at {'.'.join(place)} (line {line + 1})" if place else f"is {text}"
    if _LEADING_ZERO.fullmatch(text) or _NEW_OCTAL.fullmatch(text):
        digits = re.sub(r"[oO_]", "", text).lstrip("+-")
        sign = "-" if text.startswith("-") else ""
        decimal, octal = int(digits), int(digits, 8) if set(digits) <= set("01234567") else None
        meant = f", {sign}{octal} if it is one" if octal not in {None, decimal} else ""
        yield line, f"{has}, which looks like an octal number; write {sign}{decimal}{meant}, or '{text}' for a text"
    elif _SIXTIES.fullmatch(text) and node.tag.rpartition(":")[2] in {"int", "float"}:
        yield line, f"{has}, to YAML a number of base 60; write the number itself, or '{text}' for a text"


def _text(key: yaml.Node) -> str:
    return str(key.value) if isinstance(key, yaml.ScalarNode) else "…"
