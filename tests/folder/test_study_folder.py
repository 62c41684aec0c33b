"""docs/study-folder.md, held against the folder of a real study and against the code."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.folder.page import Row, each_has_one_row, expression, rows
from tosmooth.folder import paths
from tosmooth.folder.paths import StudyDirectory
from tosmooth.folder.results import StudyResults

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src" / "tosmooth"
# Names of the files and folders of a study, by the constant that holds them.
NAMES = {key: value for key, value in vars(paths).items() if key.isupper() and isinstance(value, str)}
OWN_FORMAT = {"training/checkpoint"}  # what lies in a checkpoint is known there alone
# Modules that name a file without reading it: to tell a person where it is, or to leave it behind in a copy.
ONLY_NAMED = {
    ("search/summary", "search.json"), ("distill/summary", "distill.json"), ("distill/summary", "audit.html"),
    ("search/teacher_reuse", "reliability.json"), ("search/teacher_reuse", "translations.json"),
}  # fmt: skip
# An export is a folder of its own, wherever it lies; it may hold files of the same names.
EXPORTED = {"export/state_dict", "export/reload", "export/predict"}


def test_each_file_of_a_real_study_has_one_row_and_each_row_a_file(tiny_study: StudyResults):
    found = each_has_one_row(tiny_study.path)
    for row in rows():
        for file in row.files:
            there = any(expression(file).fullmatch(path) for path in found)
            assert there or row.holds.startswith("Only "), f"no study has {file}"


def test_each_name_of_a_file_stands_in_the_table():
    parts = {part for row in rows() for file in row.files for part in file.split("/")}
    for key, name in NAMES.items():
        assert any(part == name or (name[-1] == "-" and part.startswith(name)) for part in parts) or (
            name in {paths.TEACHERS, paths.STUDENTS}  # `<model>`
        ), f"{key}: no row of docs/study-folder.md is about {name}"


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.files[0])
def test_who_is_said_to_write_or_read_a_file_names_it(row: Row):
    assert row.writers, row.files
    assert row.without
    for module in row.modules:
        source = SOURCES / f"{module}.py"
        assert source.is_file(), f"{row.files[0]}: there is no module {module}"
        if module not in OWN_FORMAT:
            text = source.read_text(encoding="utf-8")
            assert any(re.search(door, text) for file in row.files for door in doors(file)), (
                f"{module} names {row.files[0]} nowhere"
            )


def test_who_names_a_file_is_said_to_write_or_read_it():
    for module, names in imported():
        for name in names & NAMES.keys():
            value = NAMES[name]
            own = [row for row in rows() if any(file.split("/")[-1] == value for file in row.files)]
            if "." in value and (module, value) not in ONLY_NAMED:
                assert any(module in row.modules for row in own), f"{module} has {name}, and {value} no row with it"


def test_no_other_package_spells_a_name_of_a_file():
    files = {name for name in NAMES.values() if "." in name}
    for source in sorted(SOURCES.rglob("*.py")):
        module = source.relative_to(SOURCES).with_suffix("").as_posix()
        if module.startswith("folder/") or module in EXPORTED:
            continue
        for text in literals(ast.parse(source.read_text(encoding="utf-8"))):
            assert text.split("/")[-1] not in files, f"{module} spells {text!r}; folder/paths.py has a name for it"


def doors(file: str) -> Iterator[str]:
    """What a module's text may hold that names a file: a constant, a path of `StudyDirectory`, or what wraps one."""
    base, fixed = file.split("/")[-1], not file.split("/")[-1].startswith("<")
    wanted = {base} if fixed else set(file.split("/")[:-1])
    constants = {key for key, name in NAMES.items() if name in wanted or (name[-1] == "-" and base.startswith(name))}
    yield from (rf"\b{constant}\b" for constant in constants)
    for name, value in inspect.getmembers(StudyDirectory):
        if isinstance(value, property) and value.fget is not None and constants & set(value.fget.__code__.co_names):
            yield rf"(?:directory|study|\))\.{name}\b"
    for made in (paths.epoch_file, paths.former_advice_file):
        if expression(base).fullmatch(made(3)):
            yield rf"\b{made.__name__}\b"
    yield from (rf"\b{name}\b" for name in wrapping(frozenset(constants)))


@cache
def wrapping(constants: frozenset[str]) -> set[str]:
    """Functions and classes of `folder/` that name one of these, at once or through another one of them."""
    found = set(constants)
    definitions = [
        (node.name, {own.id for own in ast.walk(node) if isinstance(own, ast.Name)})
        for source in sorted((SOURCES / "folder").glob("*.py"))
        if source.stem != "paths"
        for node in ast.parse(source.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    ]
    for _ in definitions:
        found |= {name for name, named in definitions if named & found}
    return found - constants


def imported() -> Iterator[tuple[str, set[str]]]:
    """What the modules outside `folder/` import of its paths."""
    for source in sorted(SOURCES.rglob("*.py")):
        module = source.relative_to(SOURCES).with_suffix("").as_posix()
        if not module.startswith("folder/"):
            for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and node.module == "tosmooth.folder.paths":
                    yield module, {alias.name for alias in node.names}


def literals(tree: ast.AST) -> Iterator[str]:
    """The texts of a module, docstrings left out (no file's name is one)."""
    yield from (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))
