"""The `tosmooth` command: sub-commands in the order of the work.

Commands import what they need when they run, so `--help` and `recipes` answer without loading PyTorch.

Exit codes: 0 done; 1 the work failed (data, model, folder, training); 2 the configuration or the call is wrong;
130 and 143 stopped by Ctrl-C and SIGTERM, with all progress saved. Errors are one message on stderr, without a
traceback, and so they stay with `--json`. docs/command-line.md tells users the same.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from tosmooth.cli import distill, grids, models, recipes, reports  # noqa: F401 - each registers its commands
from tosmooth.cli.common import app, err, give_common_options
from tosmooth.cli.completion import VARIABLE, answer_shell
from tosmooth.cli.streams import open_streams
from tosmooth.errors import ConfigError, Interrupted, PeerError, TosmoothError
from tosmooth.launch import processes, speaks
from tosmooth.terminal import markup

__all__ = ["app", "main"]

# Calls that do not train, so that nothing goes on where they stopped.
BEGIN_AGAIN = {
    "--install-completion",
    "audit",
    "doctor",
    "evaluate",
    "export",
    "project",
    "recipes",
    "report",
    "validate",
    "verify",
}

give_common_options(app)


def _run(command: Callable[[], Any]) -> int:
    """Run the command line and turn errors into one message and an exit code."""
    try:
        command()
    except PeerError as error:
        if not error.told:
            err.print(f"[red]error:[/red] {markup(error, lines=True)}", soft_wrap=True)
        return 1
    except Interrupted as error:
        if speaks():
            err.print(markup(error, lines=True), soft_wrap=True)
        return 128 + error.signal_number
    except ConfigError as error:
        if not speaks():  # every process of a run reads the same configuration
            return 2
        err.print(f"[red]error:[/red] {markup(error, lines=True)}", soft_wrap=True)
        return 2
    except TosmoothError as error:
        err.print(f"[red]error:[/red] {markup(error, lines=True)}", soft_wrap=True)
        return 1
    except OSError as error:  # a disk that fills up, a folder that turns read-only
        begins_again = BEGIN_AGAIN & set(sys.argv[1:2])
        goes_on = "" if begins_again else "; the same command goes on from the last checkpoint"
        err.print(f"[red]error:[/red] {markup(error, lines=True)}{goes_on}", soft_wrap=True)
        return 1
    except (MemoryError, RuntimeError) as error:  # what trains asks for less; anything else is told here
        if not _is_out_of_memory(error):
            raise
        err.print("[red]error:[/red] this machine's memory does not suffice for that", soft_wrap=True)
        return 1
    except SystemExit as exit_:  # how typer ends, Ctrl-C included
        if exit_.code == 130 and speaks():
            err.print("interrupted; the same command goes on from what was reached")
        return exit_.code if isinstance(exit_.code, int) else 1
    return 0


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError):
        return True
    if "torch" not in sys.modules:  # commands without tensors do not load it to ask
        return False
    from tosmooth.memory import is_out_of_memory

    return is_out_of_memory(error)


def main() -> None:
    """Entry point of the `tosmooth` command."""
    open_streams()
    if VARIABLE in os.environ:
        answer_shell(_app)
    code = _run(_app)
    if code == 0 and processes() > 1:  # after an error, others may be gone
        from tosmooth.training.processes import leave_group

        leave_group()
    sys.exit(code)


def _app() -> None:
    mistakes = [
        f"argument {number} is no UTF-8 text: {argument}; write it in UTF-8, and rename a file whose name is not"
        for number, argument in enumerate(sys.argv[1:], start=1)
        if any("\ud800" <= letter <= "\udfff" for letter in argument)  # how Python keeps bytes that are none
    ]
    if mistakes:
        raise ConfigError(mistakes)
    app(prog_name="tosmooth")  # also as `python -m tosmooth`
