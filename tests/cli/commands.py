"""The commands there are, whoever added them, and how to call them as a person does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from typer.main import get_command

from tests.processes import run_forked
from tosmooth.cli import app

COLOURS = ("FORCE_COLOR", "NO_COLOR", "PY_COLORS", "GITHUB_ACTIONS", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "CLICOLOR")


def commands(group: Any = None, *above: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with the words that call it, groups included."""
    group = group or get_command(app)
    yield above, group
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, *above, name)


ALL = {" ".join(words): command for words, command in commands()}
RUN = {name: command for name, command in ALL.items() if not hasattr(command, "commands")}  # what does something


def environment(**more: str) -> dict[str, str]:
    """This process' environment without what decides on colours."""
    return {key: value for key, value in os.environ.items() if key not in COLOURS} | {"COLUMNS": "80", **more}


def tosmooth(
    *arguments: object, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, without a terminal."""
    return run_forked([*map(str, arguments)], environment(**(env or {})), cwd)


def started(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The same as `python -m tosmooth`, from a fresh interpreter."""
    return subprocess.run(
        [sys.executable, "-m", "tosmooth", *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=cwd,
        timeout=240,
        env=environment(),
    )


__all__ = ["ALL", "RUN", "commands", "environment", "started", "tosmooth"]
