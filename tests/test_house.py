"""The structure of the code: packages know each other one way, and what a task is stands in `tasks/` alone."""

from __future__ import annotations

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import tosmooth

ROOT = Path(tosmooth.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))


def package_of(module: str) -> str:
    """The package of a module, or the module itself where it lies beside the packages."""
    return module.split(".")[1] if "." in module else "the public names"


def imported(path: Path) -> set[str]:
    """Packages that a file imports from, in functions and for types alone, too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "tosmooth":
            names = [f"{node.module}.{alias.name}" for alias in node.names] if node.module == "tosmooth" else []
            found |= {package_of(name) for name in names or [node.module]}
        elif isinstance(node, ast.Import):
            found |= {package_of(alias.name) for alias in node.names if alias.name.startswith("tosmooth.")}
    return found


def test_no_two_packages_need_each_other():
    graph: dict[str, set[str]] = {}
    for path in FILES:
        own = package_of(".".join(("tosmooth", *path.relative_to(ROOT).with_suffix("").parts)))
        if own in {"__init__", "__main__"}:  # the public names, which come from everywhere
            continue
        graph.setdefault(own, set()).update(imported(path) - {own, "the public names", "__version__"})
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"packages in a circle: {' → '.join(reversed(error.args[1]))}")
    assert order.index("config") < order.index("tasks") < order.index("study") < order.index("cli")


def test_what_finds_facts_knows_no_words():
    """Verdicts, numbers and codes are found in `advice/`; `words/` says them."""
    assert [path.name for path in sorted((ROOT / "advice").glob("*.py")) if "words" in imported(path)] == []


# A test of which task, metric or objective a study has belongs to a trait of it.
IDENTITY = re.compile(
    r"\bis (?:not )?(?:TOP1|BLEU|TOKENS)\b|[=!]= [\"'](?:translation|image_classification|sequence|bleu)[\"']"
    r"|\bmetric\.name [=!]=|\btask\.name [=!]=|\.samples [=!]="
)


def test_nothing_but_tasks_asks_which_task_it_is():
    asking = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in FILES
        if path.relative_to(ROOT).parts[0] != "tasks"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if IDENTITY.search(line)
    ]
    assert asking == []


@pytest.mark.parametrize(
    "line",
    [
        "if files.metric is BLEU:",
        'if config.task == "translation":',
        "x = metric is not TOP1",
        "if task.name != other:",
    ],
)
def test_the_guard_sees_what_it_is_for(line: str):
    assert IDENTITY.search(line)
