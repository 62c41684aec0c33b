"""What all commands share: the app, what goes to which stream, the arguments they have in common, how rows are printed.

`--quiet` and `--json` belong to every command and work alike everywhere. A command prints what it was asked for with
`answer`, what is only worth telling with `out`, and its JSON with `print_json`; it looks at neither mode otherwise.
"""

from __future__ import annotations

import codecs
import contextlib
import functools
import inspect
import json
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, TextIO, get_type_hints

import typer
from rich.console import Console
from typer.core import TyperGroup

from tosmooth.cli import completion
from tosmooth.cli.streams import text_stream
from tosmooth.launch import narrate, speaks
from tosmooth.recipes import DEFAULT_RECIPE
from tosmooth.terminal import markup, shown

# The order of the work, and the headings of `tosmooth --help`; a command that is not listed comes last.
PANELS = {
    "Begin": ("doctor", "recipes", "validate"),
    "Whole studies": ("study", "search", "train-teacher"),
    "Single models": ("audit", "distill", "evaluate", "export"),
    "Results": ("project", "report", "verify"),
}
ORDER = [name for names in PANELS.values() for name in names]

answer = Console(highlight=False, emoji=False)  # what a command was asked for; --quiet leaves it
out = Console(highlight=False, emoji=False)  # what it tells besides, for people
err = Console(stderr=True, highlight=False, emoji=False)
_json_stream: TextIO | None = None


@contextlib.contextmanager
def output_mode(*, quiet: bool, as_json: bool) -> Iterator[None]:
    """Within it, a command keeps to `--quiet` and `--json`; errors are printed outside, whatever was asked for.

    Args:
        quiet: nothing but what the command was asked for.
        as_json: standard output takes what `print_json` writes and nothing else. What anything else prints, libraries
            and worker processes included, goes to standard error.
    """
    global _json_stream
    with contextlib.ExitStack() as stack:
        if quiet:
            stack.callback(narrate, narrate(False))
            for console in (out, err):
                stack.callback(setattr, console, "quiet", console.quiet)
                console.quiet = True
            stack.callback(logging.disable, logging.root.manager.disable)
            logging.disable(logging.WARNING)
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
        if quiet or not sys.stderr.isatty():
            # The bars of the libraries; tosmooth's own knows where it is drawn.
            for name in ("TQDM_DISABLE", "HF_HUB_DISABLE_PROGRESS_BARS", "HF_DATASETS_DISABLE_PROGRESS_BARS"):
                os.environ.setdefault(name, "1")
        if as_json:
            _json_stream = stack.enter_context(_stdout_apart())
        try:
            yield
        finally:
            _json_stream = None


@contextlib.contextmanager
def _stdout_apart() -> Iterator[TextIO]:
    """What standard output is; meanwhile all that is written there, by C and children too, goes to standard error."""
    stdout = sys.stdout
    try:
        number, errors = stdout.fileno(), sys.stderr.fileno()
    except OSError:  # no real streams, inside of another program
        with contextlib.redirect_stdout(sys.stderr):
            yield stdout
        return
    stdout.flush()
    kept = os.dup(number)
    try:
        os.dup2(errors, number)
        with text_stream(kept, stdout.encoding) as stream:
            yield stream
    finally:
        stdout.flush()
        os.dup2(kept, number)
        os.close(kept)


class Group(TyperGroup):
    """The commands under their headings, in the order of the work."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """Names in the order in which `--help` shows them."""
        names = super().list_commands(ctx)
        return sorted(names, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        """Run the command; what a mistake in the call repeats of it is harmless."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            if isinstance(said := getattr(error, "message", None), str):  # of the library that reads the call
                error.message = shown(said, lines=True)  # type: ignore[attr-defined]
            raise

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:  # type: ignore[override]
        """The command of that name, under its heading."""
        command = super().get_command(ctx, cmd_name)
        heading = next((heading for heading, names in PANELS.items() if cmd_name in names), None)
        if command is not None and heading is not None:
            command.rich_help_panel = heading  # type: ignore[attr-defined]
        return command


def give_common_options(to: typer.Typer) -> None:
    """Every command of an app, those of its groups included, gets `--quiet`, and runs in the mode that is asked for."""
    for command in to.registered_commands:
        if command.callback is not None:
            command.callback = _in_mode(command.callback)
    for group in to.registered_groups:
        if group.typer_instance is not None:
            give_common_options(group.typer_instance)


def _in_mode(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def run(*, quiet: bool = False, **given: Any) -> Any:
        with output_mode(quiet=quiet, as_json=given.get("as_json", False)):
            return function(**given)

    # Typer reads a command's options from its signature.
    hints = get_type_hints(function, include_extras=True)
    signature = inspect.signature(function)
    own = [parameter.replace(annotation=hints[name]) for name, parameter in signature.parameters.items()]
    option = inspect.Parameter("quiet", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Quiet)
    run.__signature__ = signature.replace(parameters=[*own, option])  # type: ignore[attr-defined]
    run.__annotations__ = {**hints, "quiet": Quiet}
    return run


app = typer.Typer(
    name="tosmooth",
    cls=Group,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from tosmooth import __version__

        print(f"tosmooth {__version__}")
        raise typer.Exit


@app.callback()
def tosmooth(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """To smooth or not to smooth a teacher network? Evidence on your own data, and the best student."""


Source = Annotated[
    str,
    typer.Argument(
        metavar="[RECIPE|FILE.yaml]", help="a recipe's name or a YAML file", autocompletion=completion.sources
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="such as student.epochs=3", autocompletion=completion.overrides),
]
Output = Annotated[Path, typer.Option("--output", "-o", help="folder that holds the studies", file_okay=False)]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="errors, and what was asked", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="one JSON document on stdout", show_default=False)]
Ema = Annotated[bool, typer.Option("--ema", help="a file's averaged weights", show_default=False)]
ImageSize = Annotated[int | None, typer.Option("--image-size", help="pixels the teacher is shown")]
TeacherModel = Annotated[
    str | None,
    typer.Option("--teacher-model", help="of a teacher file", autocompletion=completion.names("prefixes")),
]
Quick = Annotated[bool, typer.Option("--quick", help="in about a minute, marked as a preview", show_default=False)]
Study = Annotated[
    Path,
    typer.Argument(
        metavar="STUDY", help="folder of a study, such as runs/fashion-mnist", autocompletion=completion.studies
    ),
]


def arguments(source: str, overrides: list[str] | None) -> tuple[str, list[str]]:
    """`tosmooth study student.epochs=3` means the default recipe: an override in the first place is no recipe."""
    named, given = named_source(source, overrides)
    return named or DEFAULT_RECIPE, given


def named_source(source: str | None, overrides: list[str] | None) -> tuple[str | None, list[str]]:
    """The same where no recipe need be named; None where none was."""
    given = list(overrides or [])
    return (None, [source, *given]) if source is not None and "=" in source else (source, given)


def read(source: str, overrides: list[str] | None, *, quick: bool = False) -> Any:
    """The checked configuration that the call names."""
    from tosmooth.recipes.reading import load_config

    return load_config(*arguments(source, overrides), quick=quick)


def print_json(value: Any) -> None:
    """Letters as they are, unless a terminal would obey one of them, or the stream has them not."""
    if not speaks():
        return
    stream = _json_stream or sys.stdout
    text = json.dumps(value, ensure_ascii=False)
    whole = shown(text) == text and codecs.lookup(stream.encoding or "ascii").name == "utf-8"
    print(text if whole else json.dumps(value), file=stream)


def print_rows(rows: list[dict[str, Any]], as_json: bool, console: Console = out) -> None:
    """Print mappings, a line per key, or as JSON; in several processes, only the first one does."""
    if not speaks():
        return
    if as_json:
        print_json(rows)
        return
    for row in rows:
        for key, value in row.items():
            console.print(f"{key:>16}  {markup(f'{value:.4f}' if isinstance(value, float) else value)}", soft_wrap=True)
        console.print()
