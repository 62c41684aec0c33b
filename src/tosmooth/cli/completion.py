"""What a shell offers on Tab: recipes, files, studies, keys of the configuration and their values.

Nothing here imports more than the standard library, so that a shell does not wait: the keys come from
`completion_keys.json`, which `python -m scripts.write_completion_keys` makes from the schema, and a test compares.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Callable, Iterable
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import typer

from tosmooth import plugins
from tosmooth.folder.paths import CONFIG_FILE, STUDENTS, TEACHERS
from tosmooth.recipes import recipe_names

VARIABLE = "_TOSMOOTH_COMPLETE"  # what the shells' scripts set
WEIGHTS = (".safetensors", ".pt", ".pth", ".bin")
LOGITS = (".npz",)

Offer = tuple[str, str] | str  # the text, and what it is


@cache
def known() -> dict[str, Any]:
    """Keys of the configuration (help, default, values), and the names that options take, those of plugins included."""
    text = (resources.files("tosmooth.cli") / "completion_keys.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    found["data_sources"] += [*plugins.names("data_sources"), *plugins.names("translation_sources")]
    found["prefixes"] += [f"{name}:" for name in plugins.names("models")]
    found["keys"]["data.source"]["values"] = found["data_sources"]
    found["keys"]["student.objectives"]["values"] += plugins.names("objectives")
    found["keys"]["task"]["values"] += plugins.names("tasks")
    return found


def recipes(incomplete: str) -> Iterable[Offer]:
    """Names of the recipes."""
    return [name for name in recipe_names() if name.startswith(incomplete)]


def sources(incomplete: str) -> Iterable[Offer]:
    """Recipes and YAML files; an override in their place means the default recipe."""
    found = [*recipes(incomplete), *_files(incomplete, (".yaml", ".yml"))]
    return found or (overrides(incomplete) if incomplete else [])


def overrides(incomplete: str) -> Iterable[Offer]:
    """`student.epochs=`, and after the sign the values that the key may have."""
    key, sign, _ = incomplete.partition("=")
    keys: dict[str, dict[str, Any]] = known()["keys"]
    if sign:
        return _assignments(key) if key in keys else []
    found = [name for name in keys if name.startswith(key)]
    if len(found) == 1:
        # Two offers, so that no shell takes the word for finished and puts a space behind the sign.
        return [(f"{found[0]}=", keys[found[0]]["help"]), *_assignments(found[0])]
    return [(f"{name}=", keys[name]["help"]) for name in found]


def _assignments(key: str) -> list[Offer]:
    entry = known()["keys"][key]
    values = entry["values"] or ([entry["default"]] if entry["default"] is not None else [])
    return [(f"{key}={value}", "default" if value == entry["default"] else "") for value in values]


def studies(incomplete: str) -> Iterable[Offer]:
    """Folders of studies, below the one that is written so far, or below `runs`."""
    places = [_parent(incomplete)] if incomplete else ["", f"runs{os.sep}"]
    found = [
        f"{place}{path.name}"
        for place in places
        for path in _listed(place)
        if path.is_dir() and (path / CONFIG_FILE).is_file()
    ]
    return [name for name in found if name.startswith(incomplete)] or _files(incomplete, ())


def models(ctx: typer.Context, incomplete: str) -> Iterable[Offer]:
    """Names of the teachers and students in the folder of the study that is given before."""
    study = ctx.params.get("study")
    if not study:
        return []
    return [
        path.name
        for kind in (TEACHERS, STUDENTS)
        for path in _listed(f"{study}{os.sep}{kind}{os.sep}")
        if path.name.startswith(incomplete)
    ]


def weights(incomplete: str) -> Iterable[Offer]:
    """Files of weights."""
    return _files(incomplete, WEIGHTS)


def teachers(incomplete: str) -> Iterable[Offer]:
    """Files of logits or weights, and the prefixes of published models."""
    prefixes = [prefix for prefix in known()["prefixes"] if prefix.startswith(incomplete)]
    return [*_files(incomplete, (*WEIGHTS, *LOGITS)), *prefixes]


def data(incomplete: str) -> Iterable[Offer]:
    """Folders of images, and the names of the data sources."""
    place = _parent(incomplete)
    folders = [f"{place}{path.name}{os.sep}" for path in _listed(place) if path.is_dir()]
    return [name for name in (*folders, *known()["data_sources"]) if name.startswith(incomplete)]


def names(kind: str, *, many: bool = False) -> Callable[[str], Iterable[Offer]]:
    """The names of a kind in `completion_keys.json`; `many`: separated by commas."""

    def offered(incomplete: str) -> Iterable[Offer]:
        before, comma, _ = incomplete.rpartition(",") if many else ("", "", incomplete)
        given = before.split(",")
        return [f"{before}{comma}{name}" for name in known()[kind] if name not in given]

    return offered


def _files(incomplete: str, endings: tuple[str, ...]) -> list[Offer]:
    """Folders, and files of these endings; a folder that is the only one is looked into."""
    place = _parent(incomplete)
    found = [
        f"{place}{path.name}{os.sep if path.is_dir() else ''}"
        for path in _listed(place)
        if path.is_dir() or path.name.lower().endswith(endings or ("\0",))
    ]
    found = [name for name in found if name.startswith(incomplete)]
    if len(found) == 1 and found[0].endswith(os.sep):
        inside = _files(found[0], endings)
        return [found[0], *inside] if inside else []  # for the shell itself, which puts no space behind a folder
    return list[Offer](found)


def _parent(incomplete: str) -> str:
    """The folder that is written so far, its last separator included."""
    return incomplete[: len(incomplete) - len(os.path.basename(incomplete))]  # noqa: PTH119 - "./a" has to stay


def _listed(place: str) -> list[Path]:
    try:
        return sorted(path for path in Path(place or ".").expanduser().iterdir() if not path.name.startswith("."))
    except (OSError, RuntimeError, ValueError):  # no such folder, the home of nobody
        return []


def answer_shell(run: Callable[[], Any]) -> None:
    """Run the command line for a shell that asks what could follow.

    Bash takes `key=value` and `timm:name` for several words, and replaces the last of them only; here they are put
    together again, and what Bash keeps is taken off the offers.
    """
    words, number = os.environ.get("COMP_WORDS", "").split("\n"), os.environ.get("COMP_CWORD", "")
    if os.environ.get(VARIABLE) != "complete_bash" or not number.isdecimal() or not 0 < int(number) < len(words):
        run()
        return
    whole = [words[0]]
    ended = True
    for word in words[1 : int(number) + 1]:
        breaks = word != "" and not word.strip("=:")
        if (breaks or not ended) and len(whole) > 1:
            whole[-1] += word
        else:
            whole.append(word)
        ended = not breaks
    last = words[int(number)]
    kept = whole[-1] if last and not last.strip("=:") else whole[-1].removesuffix(last)
    os.environ |= {"COMP_WORDS": "\n".join(whole), "COMP_CWORD": str(len(whole) - 1)}
    offers = io.StringIO()
    try:
        with contextlib.redirect_stdout(offers):
            run()
    finally:
        for line in offers.getvalue().splitlines():
            sys.stdout.write(line.removeprefix(kept) + "\n")
