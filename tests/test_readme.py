"""The README is for one reading: its examples run as they stand, its links and its tree are true, and it is short."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("code", EXAMPLES, ids=[str(i) for i in range(len(EXAMPLES))])
def test_library_examples_run_and_stay_short(code: str):
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert len([line for line in code.splitlines() if line.strip()]) < 15
    if "found" in names:
        assert names["found"].verdict == "smoothed"
        assert names["found"].alpha == pytest.approx(0.1, abs=0.01)


def test_it_can_be_read_in_one_go():
    assert len(README.splitlines()) <= 130
    assert len(EXAMPLES) == 2
    together = "".join(EXAMPLES)
    for name in ("distillation_loss", "estimate_label_smoothing"):
        assert name in together


def test_every_file_the_readme_shows_exists():
    for target in re.findall(r"\]\(((?!http)[^)]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_tree_has_one_line_for_each_folder_of_the_package():
    tree = README.split("## The tree")[1].split("```")[1]
    shown = re.findall(r"^  (\w+)/", tree, flags=re.MULTILINE)
    there = {path.parent.name for path in (ROOT / "src" / "tosmooth").glob("*/__init__.py")}
    assert len(shown) == len(set(shown))
    assert set(shown) == there
    for name in re.findall(r"^(\w[\w/]*)/ ", tree, flags=re.MULTILINE):
        assert (ROOT / name).is_dir(), name


def test_the_two_commands_are_the_makefiles_and_plain_pip_does_the_same():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for name in re.findall(r"^make (\w+)", README, flags=re.MULTILINE):
        assert f"\n{name}:" in makefile, name
    sources = re.search(r"^SOURCES = (.*)$", makefile, flags=re.MULTILINE)
    assert sources is not None
    for command in ("ruff check", "ruff format --check"):
        assert f".venv/bin/{command} {sources[1]}" in README
    marks = re.search(r"pytest .*(-m \".*\")", makefile)
    assert marks is not None
    assert marks[1] in README
