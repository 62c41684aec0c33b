"""Which stream gets what: pipes, terminals, `--quiet`, `--json`, and what the environment says of colours."""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.commands import environment, tosmooth

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@pytest.fixture
def study_file(tiny_raw: dict[str, Any], tmp_path: Path) -> Path:
    tiny_raw["data"] |= {"limit_train": 200, "limit_test": 100}
    tiny_raw["teacher"] |= {"epochs": 1, "label_smoothing": [0.1]}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(tiny_raw), encoding="utf-8")
    return path


def on_terminal(*arguments: object, cwd: Path, **env: str) -> str:
    """What a terminal of 80 columns receives."""
    import pty

    main, other = pty.openpty()
    run = subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        stdin=other,
        stdout=other,
        stderr=other,
        cwd=cwd,
        env=environment(**env),
        start_new_session=True,
    )
    os.close(other)
    seen = b""
    while select.select([main], [], [], 120)[0]:
        try:
            part = os.read(main, 4096)
        except OSError:  # Linux: the other side is closed
            break
        if not part:
            break
        seen += part
    os.close(main)
    assert run.wait(60) == 0, seen.decode()
    return seen.decode()


@pytest.mark.slow
def test_json_is_all_of_stdout_and_no_bar_is_drawn_into_a_pipe_even_with_colours_forced(study_file: Path):
    run = tosmooth("train-teacher", study_file, "--json", cwd=study_file.parent, env={"FORCE_COLOR": "1"})
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)[0]["teacher"] == "a0.1-s0"
    assert "epoch 1/1" in run.stderr
    assert all(line.strip() for line in run.stderr.splitlines())
    assert not CONTROL.search(COLOUR.sub("", run.stderr))
    quiet = tosmooth("train-teacher", study_file, "-q", cwd=study_file.parent)
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize(
    ("env", "colours", "bar"),
    [
        ({"TERM": "xterm-256color"}, True, True),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, False, True),
        ({"TERM": "dumb"}, False, False),
    ],
)
def test_progress_on_a_terminal(env: dict[str, str], colours: bool, bar: bool, tmp_path: Path):
    code = """
from tosmooth.study.progress import StudyProgress
with StudyProgress() as progress:
    progress.expect(200)
    progress.stage("training", epochs=1, models=2)
    progress.batch(0, 100)
    progress.batch(0, 100)
    progress.end_stage()
"""
    seen = on_terminal("-c", code, cwd=tmp_path, **env)
    assert "training" in seen
    assert ("\x1b[?25l" in seen) == bar  # hides the cursor, as all that is drawn over again does
    assert ("\x1b[3" in seen or "\x1b[38;" in seen) == colours
    if not bar:
        assert "epoch 1/1" in seen
        assert not CONTROL.search(seen.replace("\r\n", "\n"))


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_colours_of_the_command_itself(tmp_path: Path):
    call = ("-m", "tosmooth", "recipes", "list")
    assert "\x1b[1m" in on_terminal(*call, cwd=tmp_path, TERM="xterm")
    assert "\x1b" not in on_terminal(*call, cwd=tmp_path, TERM="dumb")
    assert "\x1b" not in tosmooth("recipes", "list").stdout
    assert "\x1b[1m" in tosmooth("recipes", "list", env={"FORCE_COLOR": "1"}).stdout


def test_stdout_is_one_document_with_json_and_only_what_was_asked_for_with_quiet(tmp_path: Path):
    for arguments in (["list"], ["show"], ["copy", "fashion-mnist", "mine.yaml"]):
        found = tosmooth("recipes", *arguments, "--json", cwd=tmp_path)
        assert (found.returncode, found.stderr) == (0, "")
        json.loads(found.stdout)
    for arguments, says in ((["list"], True), (["show"], True), (["copy", "fashion-mnist", "other.yaml"], False)):
        quiet = tosmooth("recipes", *arguments, "-q", cwd=tmp_path)
        assert (quiet.returncode, bool(quiet.stdout), quiet.stderr) == (0, says, ""), arguments


@pytest.mark.parametrize("mode", [[], ["--json"], ["--quiet"], ["--json", "--quiet"]])
def test_an_error_is_one_message_on_stderr_in_every_mode(mode: list[str], tmp_path: Path):
    run = tosmooth("recipes", "show", "fashion-mnits", *mode, cwd=tmp_path)
    assert run.returncode == 2
    assert run.stdout == ""
    assert "did you mean 'fashion-mnist'" in run.stderr


def test_what_libraries_and_children_print_does_not_reach_stdout_with_json(tmp_path: Path):
    code = """
import os, subprocess, sys
from tosmooth.cli.common import output_mode, print_json
with output_mode(quiet=False, as_json=True):
    print("of Python")
    os.write(1, b"of C\\n")
    subprocess.run([sys.executable, "-c", "print('of a child')"])
    print_json({"answer": 1})
print("after")
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment())
    assert run.stdout.splitlines() == ['{"answer": 1}', "after"]
    assert {"of Python", "of C", "of a child"} <= set(run.stderr.splitlines())


def test_a_reader_that_has_seen_enough(tmp_path: Path):
    with subprocess.Popen(
        [sys.executable, "-m", "tosmooth", "recipes", "show"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        run.stdout.close()
        assert run.stderr.read() == ""


def test_a_place_that_cannot_be_written_is_named_and_nothing_is_promised_to_go_on(tmp_path: Path):
    (tmp_path / "file").touch()
    run = tosmooth("recipes", "copy", "fashion-mnist", tmp_path / "file" / "mine.yaml")
    assert run.returncode == 2
    assert str(tmp_path / "file" / "mine.yaml") in run.stderr
    assert "checkpoint" not in run.stderr
