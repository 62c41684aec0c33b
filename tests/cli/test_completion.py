"""Tab, as the shells ask for it: the protocol of the installed command, and real Bash."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scripts.write_completion_keys import TARGET
from tests.cli.commands import environment
from tosmooth.cli import completion
from tosmooth.recipes import recipe_names

COMMAND = Path(sys.executable).with_name("tosmooth")
BASH = shutil.which("bash")

pytestmark = pytest.mark.skipif(not COMMAND.exists(), reason="the command is not installed")


# The installed command once for each line, in one process: to start one takes longer than to complete.
EACH = """
import json, os, runpy, sys
for line in json.loads(os.environ["LINES_TO_COMPLETE"]):
    words = line.split(" ")
    os.environ |= {"COMP_WORDS": "\\n".join(words), "COMP_CWORD": str(len(words) - 1)}
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as ended:
        assert not ended.code, ended.code
    print("\\0")
"""


def offered(*lines: str, cwd: Path | None = None) -> list[list[str]]:
    """What Bash would be told for lines that end where the cursor is."""
    program = f"import sys; sys.argv = [{str(COMMAND)!r}]\n{EACH}"
    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment(_TOSMOOTH_COMPLETE="complete_bash", LINES_TO_COMPLETE=json.dumps(lines)),
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    return [[line for line in own.splitlines() if line] for own in run.stdout.split("\0")[:-1]]


def test_the_keys_are_those_of_the_schema():
    """In a process of its own: other tests register names of theirs."""
    program = "import sys, scripts.write_completion_keys as w; sys.stdout.buffer.write(w.content().encode())"
    root = Path(__file__).parents[2]
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, cwd=root, timeout=100, check=True)
    assert TARGET.read_bytes() == run.stdout, "run: python -m scripts.write_completion_keys"


def test_every_offered_value_is_one_that_the_schema_takes(tiny_raw):
    from tosmooth.recipes.reading import apply_override, find_mistakes, parse_override

    for key, entry in completion.known()["keys"].items():
        if key.startswith(("teacher.model", "student.model")) or key in {"name", "teacher.smoothing"}:
            continue  # whole sections, libraries' names, and what depends on another key
        for value in entry["values"]:
            raw = {**tiny_raw, **{k: dict(v) for k, v in tiny_raw.items() if isinstance(v, dict)}}
            apply_override(raw, *parse_override(f"{key}={value}"))
            own = [mistake for mistake in find_mistakes(raw) if mistake.startswith(f"{key}:")]
            assert not any("must be" in m or "unknown" in m or "should be" in m for m in own), own


def test_commands_recipes_keys_values_and_options(tmp_path: Path):
    (tmp_path / "mine.yaml").touch()
    (tmp_path / "notes.txt").touch()
    expected = {
        "tosmooth st": ["study"],
        "tosmooth study ": [*recipe_names(), "mine.yaml"],
        "tosmooth study mi": ["mine.yaml"],
        "tosmooth study student.ep": ["student.epochs=", "student.epochs=4"],
        "tosmooth study --eng": ["--engine"],
        "tosmooth study --engine r": ["ray"],
        "tosmooth recipes show fashion-mnist-": ["fashion-mnist-fine"],
        "tosmooth audit --data fo": ["folder"],
        "tosmooth distill --student ti": ["timm:"],
        "tosmooth study --output ": [],  # the shell's own files
    }
    *found, values = offered(*expected, "tosmooth validate mine.yaml compute.dev", cwd=tmp_path)
    assert dict(zip(expected, found, strict=True)) == expected
    assert "compute.device=cuda" in values
    (tmp_path / "folders").mkdir()
    assert sorted(*offered("tosmooth distill --data fo", cwd=tmp_path)) == ["folder", "folders/"]


def test_studies_their_models_and_formats(tmp_path: Path):
    root = tmp_path
    for name in ("teachers/a0-s0", "teachers/a0.1-s0", "students/hinton-a0-T1-resnet8-s0"):
        (root / "tiny" / name).mkdir(parents=True)
        (root / "tiny" / name / "model.safetensors").touch()
    (root / "tiny" / "study.yaml").touch()
    report, teacher, students, formats, weights = offered(
        "tosmooth report ti", "tosmooth export tiny a0.1", "tosmooth export tiny hin",
        "tosmooth export tiny --format safetensors,on", f"tosmooth evaluate tiny{os.sep}teachers{os.sep}a0-s0{os.sep}m",
        cwd=root,
    )  # fmt: skip
    assert report == ["tiny"]
    assert teacher == ["a0.1-s0"]
    assert "hinton-a0-T1-resnet8-s0" in students
    assert formats == ["safetensors,onnx"]
    assert weights == [f"tiny{os.sep}teachers{os.sep}a0-s0{os.sep}model.safetensors"]


@pytest.mark.parametrize(
    ("shell", "variables"),
    [
        ("zsh", {}),
        ("fish", {"_TYPER_COMPLETE_FISH_ACTION": "get-args"}),
        ("powershell", {"_TYPER_COMPLETE_WORD_TO_COMPLETE": "compute.device"}),
    ],
)
def test_the_other_shells(shell: str, variables: dict[str, str], tmp_path: Path):
    script = subprocess.run(
        [COMMAND], capture_output=True, text=True, env=environment(_TOSMOOTH_COMPLETE=f"source_{shell}")
    )
    assert f"complete_{shell}" in script.stdout
    run = subprocess.run(
        [COMMAND],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment(
            _TOSMOOTH_COMPLETE=f"complete_{shell}", _TYPER_COMPLETE_ARGS="tosmooth study compute.device", **variables
        ),
    )
    assert "compute.device=cuda" in run.stdout


@pytest.mark.skipif(BASH is None, reason="needs Bash")
def test_what_bash_splits_at_its_word_breaks_is_one_word(tmp_path: Path):
    script = """
    source <(_TOSMOOTH_COMPLETE=source_bash tosmooth)
    ask() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _tosmooth_completion tosmooth; echo "${COMPREPLY[*]}"; }
    ask tosmooth study student.schedule.name = co
    ask tosmooth study student.schedule.name =
    ask tosmooth study student.epochs = 3 compute.dev
    ask tosmooth study mine.yaml compute.device = c
    """
    run = subprocess.run(
        [str(BASH), "--norc", "-c", script],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment(PATH=f"{COMMAND.parent}{os.pathsep}{os.environ['PATH']}"),
    )
    lines = run.stdout.splitlines()
    assert lines[0].split() == ["cosine", "constant"]
    assert lines[1].split() == ["cosine", "step", "inverse_sqrt", "constant", "one_cycle"]
    assert lines[2].split()[0] == "compute.device="
    assert lines[3].split() == ["cpu", "cuda"]


@pytest.mark.skipif(BASH is None or sys.platform == "win32", reason="needs Bash and a pseudo-terminal")
def test_a_person_presses_tab(tmp_path: Path):
    import pty

    main, other = pty.openpty()
    shell = subprocess.Popen(
        [str(BASH), "--norc", "--noprofile", "-i"],
        stdin=other,
        stdout=other,
        stderr=other,
        cwd=tmp_path,
        start_new_session=True,
        env=environment(
            PATH=f"{COMMAND.parent}{os.pathsep}{os.environ['PATH']}", HOME=str(tmp_path), TERM="dumb", PS1="> "
        ),
    )
    os.close(other)
    try:
        os.write(main, b"source <(_TOSMOOTH_COMPLETE=source_bash tosmooth); echo rea''dy\n")
        until(main, "ready")
        os.write(main, b"tosmooth study student.sch\t")
        until(main, "edule.")
        os.write(main, b"name=inv\t")
        until(main, "erse_sqrt")
    finally:
        shell.kill()
        shell.wait()
        os.close(main)


def until(terminal: int, text: str) -> None:
    """Read until the text has come."""
    seen, deadline = "", time.monotonic() + 15
    while text not in seen:
        ready, _, _ = select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"{text!r} did not come: {seen!r}"
        seen += os.read(terminal, 4096).decode(errors="replace")
