"""Names that every file system takes, and source code that every system can run.

Nothing here has been run on Windows or macOS: these are their rules, checked where the tests run.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path, PureWindowsPath
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.cli.commands import environment
from tosmooth.config.schema import StudyConfig
from tosmooth.files import path_safe, unportable
from tosmooth.study.plan import make_plan, objective_label

SOURCES = sorted((Path(__file__).parents[1] / "src").rglob("*.py"))
POSIX_ONLY = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "termios", "tty", "syslog"}
MISSING_ON_WINDOWS = {
    "os": {"fork", "getuid", "geteuid", "getgid", "sched_getaffinity", "killpg", "setsid", "statvfs", "uname", "chown",
           "getpgid", "mkfifo", "nice", "wait", "fchmod", "O_DIRECTORY", "O_NOFOLLOW"},
    "signal": {"SIGKILL", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGALRM", "alarm", "setitimer", "pause", "SIGCHLD"},
}  # fmt: skip
HARD = ["con", "NUL", "aux.txt", "com1", "lpt9.x.y", "a.", "a ", "a:b", "a*", "a?b", "a|b", "<x>", "..", "é" * 130]
NAMES = st.text(max_size=300) | st.sampled_from([*HARD, "hf:con", "con.x", "timm:" + "a" * 400, "hf:org/model.", "."])


@pytest.mark.parametrize("name", [*HARD, "", "a/b", "a\\b", 'a"', "a\n", "x" * 256])
def test_names_that_some_system_refuses_are_known(name: str):
    assert unportable(name) is not None


def test_names_that_python_says_windows_reserves_are_known():
    for name in (
        "con",
        "prn",
        "aux",
        "nul",
        *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10)),
    ):
        for shape in (name, name.upper(), f"{name}.txt", f"{name}.tar.gz", f"{name} .x"):
            assert unportable(shape), shape
            assert PureWindowsPath(shape).is_reserved(), shape
    for name in ("console", "a-con", "nul1", "com", "lpt10", "hinton-a0-T1-con-s0"):
        assert unportable(name) is None, name


@given(NAMES, st.dictionaries(st.text(max_size=8), st.floats(allow_nan=False) | st.text(max_size=8), max_size=2))
@settings(max_examples=200, deadline=None)
def test_names_of_models_and_objectives_in_folders(name: str, options: dict[str, Any]):
    part, label = path_safe(name), objective_label(name, options)
    for folder in (f"hinton-a0.05-T1e+06-{part}-s0-t1", f"{part}-0123456789abcdef", f"{part}-sequences-0123", part):
        assert unportable(folder) is None
    assert unportable(path_safe(label)) is None


@given(st.text(alphabet=st.characters(codec="ascii"), max_size=110) | st.sampled_from(HARD))
@settings(max_examples=200, deadline=None)
def test_a_study_gets_a_name_that_every_system_takes_or_none(name: str):
    mistakes = []
    try:
        StudyConfig.model_validate(
            {"name": name, "teacher": {"model": "resnet8", "epochs": 1}, "student": {"model": "resnet8", "epochs": 1}}
        )
    except ValidationError as error:
        mistakes = error.errors()
    assert all(found["loc"] == ("name",) for found in mistakes)
    if not mistakes:
        for folder in (name, f"{name}-quick", f"{name}-search"):
            assert unportable(folder) is None


@given(
    st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=3, unique_by=lambda alpha: f"{alpha:g}"),
    st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=3, unique_by=lambda value: f"{value:g}"),
    st.integers(0, 2**31 - 1),
)
@settings(max_examples=50, deadline=None)
def test_teachers_and_students_of_any_grid(alphas: list[float], temperatures: list[float], seed: int):
    training = {"model": "resnet8", "epochs": 1}
    config = StudyConfig.model_validate(
        {
            "teacher": {**training, "label_smoothing": alphas, "seeds": [seed]},
            "student": {**training, "temperatures": temperatures, "seeds": [seed]},
        }
    )
    plan = make_plan(config)
    names = [entry.name for entry in (*plan.teachers, *plan.cells)]
    assert all(unportable(name) is None for name in names)
    assert len({name.casefold() for name in names}) == len(names)  # macOS and Windows do not tell letters' case


def calls(tree: ast.AST) -> list[tuple[ast.Call, str]]:
    """Calls in a tree, with the last name of what is called."""
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = [call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "") for call in found]
    return list(zip(found, names, strict=True))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_texts_are_opened_with_their_encoding_and_nothing_of_one_system_is_needed(path: Path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        module = getattr(node, "module", None)
        assert not POSIX_ONLY & {*names, module}, f"{path}:{node.lineno}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert node.attr not in MISSING_ON_WINDOWS.get(node.value.id, set()), f"{path}:{node.lineno}"
    for call, name in calls(tree):
        given = {keyword.arg for keyword in call.keywords}
        texts = [value.value for value in call.args if isinstance(value, ast.Constant) and isinstance(value.value, str)]
        binary = any(set(text) <= set("rwaxb+") and "b" in text for text in texts)
        of_path = isinstance(call.func, ast.Attribute)
        if name == "read_text" or (name == "write_text" and of_path):
            assert "encoding" in given, f"{path}:{call.lineno}"
        if name in {"open", "fdopen"} and (not of_path or set("".join(texts)) <= set("rwaxbt+")) and not binary:
            owner = call.func.value if isinstance(call.func, ast.Attribute) else None
            if isinstance(owner, ast.Name) and owner.id in {"Image", "os", "Context", "sink"} and name == "open":
                continue  # no file, or no text
            assert "encoding" in given, f"{path}:{call.lineno}"


def test_the_search_for_texts_without_encoding_finds_them(tmp_path: Path):
    for code in (
        "from pathlib import Path\nPath('a').open()",
        "open('a')",
        "p.read_text()",
        "import fcntl",
        "os.fork()",
    ):
        path = tmp_path / "code.py"
        path.write_text(code, encoding="utf-8")
        with pytest.raises(AssertionError):
            test_texts_are_opened_with_their_encoding_and_nothing_of_one_system_is_needed(path)


def test_a_stream_without_the_letters_gets_them_written_out(tmp_path: Path):
    """As on a Windows console of an old code page, or in a log that the system opens as ASCII."""
    for arguments in (
        ["recipes", "show"],
        ["recipes", "list", "--json"],
        ["study", "--help"],
        ["recipes", "show", "é"],
    ):
        run = subprocess.run(
            [sys.executable, "-m", "tosmooth", *arguments],
            capture_output=True,
            cwd=tmp_path,
            env=environment(PYTHONIOENCODING="ascii", PYTHONUTF8="0"),
        )
        assert run.returncode == (2 if "é" in arguments else 0), run.stderr
        assert b"Traceback" not in run.stderr
        assert run.stdout.isascii()
