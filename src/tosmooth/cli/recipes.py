"""`recipes list / show / copy`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tosmooth.cli import completion
from tosmooth.cli.common import (
    AsJson,
    answer,
    app,
    out,
    print_json,
)
from tosmooth.errors import ConfigError
from tosmooth.recipes import DEFAULT_RECIPE, recipe_names, recipe_text
from tosmooth.terminal import markup, quoted

recipes_app = typer.Typer(help="The recipes that come along: list, show, copy.", no_args_is_help=True)
app.add_typer(recipes_app, name="recipes")

Name = Annotated[str, typer.Argument(help="a recipe's name", autocompletion=completion.recipes)]


@recipes_app.command("list")
def recipes_list(as_json: AsJson = False) -> None:
    """Names and first lines of all recipes."""
    lines = {name: recipe_text(name).splitlines()[0].removeprefix("#").strip() for name in recipe_names()}
    if as_json:
        print_json(lines)
        return
    width = max(map(len, lines))
    for name, line in lines.items():
        answer.print(f"[bold]{name:<{width}}[/bold]  {markup(line)}")


@recipes_app.command("show")
def recipes_show(name: Name = DEFAULT_RECIPE, as_json: AsJson = False) -> None:
    """Print a recipe, comments included.

    Example:
      tosmooth recipes show fashion-mnist
    """
    text = recipe_text(name)
    if as_json:
        print_json({"name": name, "yaml": text})
    else:
        answer.out(text, end="", highlight=False)


@recipes_app.command("copy")
def recipes_copy(
    name: Name,
    target: Annotated[Path | None, typer.Argument(help="the new file; default: NAME.yaml here")] = None,
    as_json: AsJson = False,
) -> None:
    """Copy a recipe to a file of your own to edit.

    Example:
      tosmooth recipes copy fashion-mnist my-study.yaml
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
    if as_json:
        print_json({"recipe": name, "file": str(path)})
    else:
        out.print(f"{markup(path)} written; run it with: tosmooth study {markup(quoted(path))}", soft_wrap=True)
