"""`recipes list / show / copy / run`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tosmooth.cli import completion
from tosmooth.cli.common import (
    AsJson,
    Output,
    Overrides,
    answer,
    app,
    out,
    print_json,
    read,
)
from tosmooth.cli.running import DryRun, estimate, run
from tosmooth.errors import ConfigError
from tosmooth.recipes import (
    DEFAULT_RECIPE,
    OWN_DATA,
    OWN_IMAGES,
    OWN_IMAGES_SCRATCH,
    recipe_names,
    recipe_text,
)
from tosmooth.terminal import markup, quoted

recipes_app = typer.Typer(help="The recipes that come along: list, show, copy, run.", no_args_is_help=True)
app.add_typer(recipes_app, name="recipes")

Name = Annotated[str, typer.Argument(help="a recipe's name", autocompletion=completion.recipes)]


@recipes_app.command("list")
def recipes_list(as_json: AsJson = False) -> None:
    """All recipes: data, grid, and the paper's best figure or the time."""
    from tosmooth.recipes.listing import listed

    rows = {name: listed(name) for name in recipe_names()}
    if as_json:
        print_json({name: asdict(row) for name, row in rows.items()})
        return
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in ("recipe", "data", "α×T×seeds", "paper or time"):
        table.add_column(title, no_wrap=title != "data", max_width=17 if title == "data" else None)
    for name, row in rows.items():
        unit = " BLEU" if "iwslt" in name else " %"
        time = (row.time or "–").replace("minutes", "min").replace("hours", "h").replace("hour", "h")
        last = time if row.paper is None else f"paper {row.paper:.1f}{unit}"
        grid = f"{'×'.join(map(str, row.grid))} = {row.students}"
        table.add_row(f"[bold]{markup(name)}[/bold]", markup(row.data), grid, last)
    answer.print(table)


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
        own = " data.path=DIR" if OWN_DATA in text else ""
        out.print(f"{markup(path)} written; run it with: tosmooth study {markup(quoted(path))}{own}", soft_wrap=True)


@recipes_app.command("run")
def recipes_run(
    name: Name,
    overrides: Overrides = None,
    data: Annotated[Path | None, typer.Option("--data", metavar="DIR", help="folder of the data")] = None,
    dry_run: DryRun = False,
    output: Output = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """Run a recipe on your data, after a look at their folder.

    Otherwise as `tosmooth study NAME data.path=DIR`.

    Examples:
      tosmooth recipes run fashion-mnist
      tosmooth recipes run cub200-resnet50-resnet18 --data ~/cub --dry-run
    """
    from tosmooth.recipes.layout import check_layout
    from tosmooth.recipes.listing import header_line

    text = recipe_text(name)
    given = list(overrides or [])
    asked = OWN_DATA in text
    mistakes = []
    if data is not None and any(override.startswith("data.path=") for override in given):
        mistakes.append("--data: is data.path; give one of the two")
    elif data is not None and not asked:
        mistakes.append(f"--data: the recipe {name} brings its own data; leave it out, or take another recipe")
    elif data is not None:
        given.insert(0, f"data.path={json.dumps(str(data))}")
    if asked and data is None and not any(override.startswith("data.path=") for override in given):
        mistakes.append(f"--data: the recipe {name} needs the folder of your data: {header_line(text, 'Data')}")
    if mistakes:
        raise ConfigError(mistakes)
    config = read(name, given)
    check_layout(config.data, parted=name not in {OWN_IMAGES, OWN_IMAGES_SCRATCH})
    if dry_run:
        estimate(config, output, as_json=as_json)
    else:
        run(config, output, as_json=as_json)
