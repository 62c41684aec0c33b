"""`--help` of every command fits a screen, and names what all commands have."""

from __future__ import annotations

import re

import pytest
from rich.cells import cell_len
from typer.testing import CliRunner

from tests.cli.commands import ALL, RUN, tosmooth
from tosmooth.cli import app
from tosmooth.cli.common import ORDER, PANELS

WIDTH, HEIGHT = 80, 40


def shown(name: str) -> str:
    found = CliRunner().invoke(app, [*name.split(), "--help"], prog_name="tosmooth", env={"COLUMNS": str(WIDTH)})
    assert found.exit_code == 0, found.output
    return found.output


@pytest.mark.parametrize("name", ALL)
def test_the_help_of_every_command_fits_a_screen(name: str):
    lines = shown(name).splitlines()
    assert len(lines) <= HEIGHT
    assert max(map(cell_len, lines)) <= WIDTH
    assert not any("`" in line and "tosmooth" in line and "Example" in line for line in lines)


@pytest.mark.parametrize("name", RUN)
def test_examples_stand_on_lines_of_their_own_and_call_commands_that_exist(name: str):
    lines = [line.strip() for line in shown(name).splitlines()]
    calls = [line for line in lines if line.startswith(("tosmooth ", "torchrun "))]
    assert calls or name == "recipes list", "no example"
    for call in calls:
        words = call.partition("tosmooth ")[2].split()
        assert " ".join(words[:2]) in ALL or words[0] in ALL, call
    whole = " ".join(lines)
    for option in re.findall(r"(?<=\s)--[a-z-]+", " ".join(calls)):
        assert option in whole or option == "--nproc-per-node"


@pytest.mark.parametrize("name", RUN)
def test_every_command_has_json_and_quiet(name: str):
    options = {option for parameter in RUN[name].params for option in parameter.opts}
    assert {"--json", "--quiet", "-q"} <= options


def test_commands_stand_under_headings_in_the_order_of_the_work():
    text = tosmooth("--help").stdout
    places = [text.index(f"─ {heading} ─") for heading in PANELS]
    assert places == sorted(places)
    found = [line.split()[1] for line in text.splitlines() if re.match(r"│ [a-z]", line)]
    assert found == ORDER
    assert set(found) == {name.split()[0] for name in ALL if name}, "a command without a heading; see cli/common.py"


def test_a_mistyped_command_or_option_is_told_the_nearest():
    run = tosmooth("stdy")
    assert run.returncode == 2
    assert "Did you mean 'study'" in run.stderr
    run = tosmooth("study", "--quik")
    assert run.returncode == 2
    assert "--quick" in run.stderr
    assert run.stdout == ""


def test_version():
    import tosmooth as package

    run = tosmooth("--version")
    assert (run.returncode, run.stdout) == (0, f"tosmooth {package.__version__}\n")
