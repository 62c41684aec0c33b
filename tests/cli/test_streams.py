"""Closed streams, and arguments that are no text: real processes, as a shell starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.commands import environment
from tosmooth.recipes import recipe_text

pytestmark = pytest.mark.skipif(os.name == "nt", reason="sh")


def shell(line: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which `tosmooth` is the command; a pipe fails where any part of it does."""
    start = f"set -o pipefail; tosmooth() {{ '{sys.executable}' -m tosmooth \"$@\"; }}; "
    return subprocess.run(
        ["bash", "-c", start + line], capture_output=True, text=True, cwd=cwd, env=environment(), timeout=240
    )


@pytest.mark.parametrize(
    "line",
    [
        "tosmooth --help | head -1",  # rich prints it at once
        "tosmooth recipes show fashion-mnist | true",  # nobody reads at all
        "tosmooth recipes list --json | true",  # a stream of its own
        "tosmooth recipes list 2>&1 | head -1",
        "tosmooth --help >&-",
        "tosmooth recipes list --json >&- 2>&-",
    ],
)
def test_a_closed_end_is_no_failure(line: str, tmp_path: Path) -> None:
    done = shell(line, tmp_path)
    assert done.returncode == 0, done
    assert done.stderr == ""


@pytest.mark.parametrize("line", ["tosmooth recipes show nosuch 2>&-", "tosmooth recipes show nosuch 2>&1 | true"])
def test_an_error_that_nobody_reads_keeps_its_exit_code(line: str, tmp_path: Path) -> None:
    assert shell(line, tmp_path).returncode == 2


def test_a_file_does_not_take_the_place_of_a_closed_stream(tmp_path: Path) -> None:
    assert shell("tosmooth recipes copy fashion-mnist mine.yaml <&- >&- 2>&-", tmp_path).returncode == 0
    written = (tmp_path / "mine.yaml").read_text(encoding="utf-8")
    assert written == recipe_text("fashion-mnist")


def test_arguments_that_are_no_utf8_are_all_named(tmp_path: Path) -> None:
    done = shell(r"tosmooth recipes show $'na\xffme.yaml' $'name=\xe9'", tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    first, *named = done.stderr.splitlines()
    assert first == "error: 2 mistakes in the configuration:"
    assert [line.split(";")[0] for line in named] == [
        r"  - argument 3 is no UTF-8 text: na\udcffme.yaml",
        r"  - argument 4 is no UTF-8 text: name=\udce9",
    ]
