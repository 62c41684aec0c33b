"""Texts of unknown origin on a terminal: what could move the cursor or turn writing round is made visible."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from rich.markup import escape

from tosmooth.errors import without_secrets

# Control characters (C0 with ESC, DEL, C1), line and paragraph separators, the signs that override or isolate the
# direction of writing, the invisible sign at a file's beginning, what is no character at all, and halves of surrogate
# pairs, which no terminal can be sent. Letters that are written from right to left are none of these, nor are the
# joiners that scripts need.
_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)
LONGEST_SHOWN = 300  # characters of a wrong value, or of its key, that a message repeats
_HIDDEN_BUT_LINES = re.compile(_HIDDEN.pattern.replace("\x00-\x1f", "\x00-\x08\x0b-\x1f"))


def shown(text: str, *, lines: bool = False) -> str:
    r"""The text with its control and direction characters written out: ``ESC`` becomes ``\x1b``. Passwords of addresses
    are left out.

    Args:
        lines: keep line ends and tabs, for texts of several lines.
    """
    return (_HIDDEN_BUT_LINES if lines else _HIDDEN).sub(_written_out, without_secrets(text))


def markup(text: object, *, lines: bool = False) -> str:
    """What `shown` makes of a text, ready for rich's console: brackets in it are no markup either."""
    return escape(shown(str(text), lines=lines))


def command_line() -> str:
    """How this process was called, for records."""
    return without_secrets(" ".join([Path(sys.argv[0]).name, *sys.argv[1:]]))


def shortened(text: str) -> str:
    """A text that a message repeats, with its middle left out where it is long."""
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN // 2]} … {text[-LONGEST_SHOWN // 2 :]}"


def quoted(argument: object) -> str:
    """A path or another argument as a person can paste it into a command line: quoted where it has to be."""
    text = str(argument)
    return subprocess.list2cmdline([text]) if os.name == "nt" else shlex.quote(text)


def _written_out(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")
