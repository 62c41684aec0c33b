"""What all commands share: the app, its consoles, the arguments they have in common, and how rows are printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from tosmooth.launch import speaks
from tosmooth.recipes import DEFAULT_RECIPE
from tosmooth.terminal import markup, shown

app = typer.Typer(
    name="tosmooth",
    help="To smooth or not to smooth a teacher network? Evidence on your own data, and the best student.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
)

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

Source = Annotated[str, typer.Argument(metavar="[RECIPE|FILE.yaml]", help="a recipe's name or a YAML file")]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="for example student.epochs=3")]
Output = Annotated[Path, typer.Option("--output", "-o", help="folder that holds the studies")]
AsJson = Annotated[bool, typer.Option("--json", help="print the result as JSON on stdout")]
Quick = Annotated[bool, typer.Option("--quick", help="the same pipeline in about a minute, marked as a preview")]


def arguments(source: str, overrides: list[str] | None) -> tuple[str, list[str]]:
    """`tosmooth study student.epochs=3` means the default recipe: an override in the first place is no recipe."""
    given = list(overrides or [])
    return (DEFAULT_RECIPE, [source, *given]) if "=" in source else (source, given)


def read(source: str, overrides: list[str] | None, *, quick: bool = False) -> Any:
    """The checked configuration that the call names."""
    from tosmooth.config_reading import load_config

    return load_config(*arguments(source, overrides), quick=quick)


def print_json(value: Any) -> None:
    """Letters as they are, unless there is something among them that a terminal would obey."""
    text = json.dumps(value, ensure_ascii=False)
    print(text if shown(text) == text else json.dumps(value))


def print_rows(rows: list[dict[str, Any]], as_json: bool) -> None:
    """Print mappings, a line per key, or as JSON; in several processes, only the first one does."""
    if not speaks():
        return
    if as_json:
        print_json(rows)
        return
    for row in rows:
        for key, value in row.items():
            out.print(f"{key:>16}  {markup(f'{value:.4f}' if isinstance(value, float) else value)}")
        out.print()
