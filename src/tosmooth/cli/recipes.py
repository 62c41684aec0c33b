"""`recipes list / show / copy`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tosmooth.cli.common import (
    AsJson,
    app,
    out,
    print_json,
)
from tosmooth.errors import ConfigError
from tosmooth.recipes import DEFAULT_RECIPE, recipe_names, recipe_text
from tosmooth.terminal import markup

recipes_app = typer.Typer(help="List, show or copy the recipes that come with tosmooth.", no_args_is_help=True)
app.add_typer(recipes_app, name="recipes")


@recipes_app.command("list")
def recipes_list(as_json: AsJson = False) -> None:
    """Names and first lines of all recipes."""
    lines = {name: recipe_text(name).splitlines()[0].removeprefix("#").strip() for name in recipe_names()}
    if as_json:
        print_json(lines)
        return
    width = max(map(len, lines))
    for name, line in lines.items():
        out.print(f"[bold]{name:<{width}}[/bold]  {markup(line)}")


@recipes_app.command("show")
def recipes_show(name: Annotated[str, typer.Argument(help="a recipe's name")] = DEFAULT_RECIPE) -> None:
    """Print a recipe, comments included.

    Example: `tosmooth recipes show fashion-mnist`
    """
    print(recipe_text(name), end="")


@recipes_app.command("copy")
def recipes_copy(
    name: Annotated[str, typer.Argument(help="a recipe's name")],
    target: Annotated[Path | None, typer.Argument(help="the new file; default: NAME.yaml here")] = None,
) -> None:
    """Copy a recipe to a file of your own to edit.

    Example: `tosmooth recipes copy fashion-mnist my-study.yaml`
    """
    text, path = recipe_text(name), target or Path(f"{name}.yaml")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigError([f"{path} exists; give another file name"]) from None
    except OSError as error:
        raise ConfigError([f"{path} cannot be written: {error.strerror}"]) from None
    except ValueError:  # a NUL byte
        raise ConfigError([f"{path} cannot be the name of a file"]) from None
    out.print(f"{markup(path)} written; run it with: tosmooth study {markup(path)}")
