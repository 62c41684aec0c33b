"""The API reference: which names, in which order, taken from the packages, so that none is forgotten.

The text itself is made by mkdocstrings from the docstrings.
"""

from __future__ import annotations

import ast
from pathlib import Path

LIBRARY = """# Library

`import tosmooth` gives these names. Each is loaded on first use, so importing it for one loss does not pay for the
rest.
"""
INTEGRATIONS = """# Integrations

Each module needs its library and is imported by itself:
`from tosmooth.integrations.transformers import DistillationTrainer`. Examples:
[integrations.md](../integrations.md).
"""
AUDIT = """# Audit

What `tosmooth audit` runs, for programs: from saved logits, from weights and from a published model to an `Audit`, and
to its page. On tensors that you have, `tosmooth.estimate_label_smoothing` is enough ([library.md](library.md)). What
the numbers mean: [audit.md](../audit.md).
"""
SEARCH = """# Search

What `tosmooth search` runs, for programs. How it decides and when it fails: [search.md](../search.md).
"""
# Of the packages that are not only for programs: what a program calls, and what it gets back.
NAMES = {
    "audit": [
        "saved.audit_logits",
        "teacher.audit_weights",
        "teacher.audit_published",
        "result.Audit",
        "result.Seen",
        "advice.Advice",
        "page.write_audit",
    ],
    "search": ["run.run_search", "run.SearchResult", "plan.planned", "replay.replay", "halving.Rungs", "halving.Rung"],
}
_INTERNAL = {"__init__", "batches", "libraries", "recording", "teacher"}  # what the integrations share


def public_names(root: Path) -> dict[str, str]:
    """`tosmooth.__all__` in its order, each name with its real home, read without importing anything."""
    tree = ast.parse((root / "src/tosmooth/__init__.py").read_text(encoding="utf-8"))
    found = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        if node.targets[0].id in {"_HOME", "__all__"}
    }
    return {name: f"{found['_HOME'][name]}.{name}" for name in found["__all__"]}


def integrations(root: Path) -> dict[str, list[str]]:
    """Public classes and functions of each integration's module."""
    modules = {}
    for path in sorted((root / "src/tosmooth/integrations").glob("*.py")):
        if path.stem in _INTERNAL:
            continue
        body = ast.parse(path.read_text(encoding="utf-8")).body
        names = [node.name for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name[0] != "_"]
        if names:
            modules[f"tosmooth.integrations.{path.stem}"] = names
    return modules


def pages(root: Path) -> dict[str, str]:
    """The pages of the reference by their path within the site."""
    listed = "".join(f"::: {home}\n\n" for home in public_names(root).values())
    by_module = "".join(
        f"## `{module}`\n\n" + "".join(f"::: {module}.{name}\n    options: {{heading_level: 3}}\n\n" for name in names)
        for module, names in integrations(root).items()
    )
    made = {"reference/library.md": f"{LIBRARY}\n{listed}", "reference/integrations.md": f"{INTEGRATIONS}\n{by_module}"}
    for package, head in (("audit", AUDIT), ("search", SEARCH)):
        names = "".join(f"::: tosmooth.{package}.{name}\n\n" for name in NAMES[package])
        made[f"reference/{package}.md"] = f"{head}\n{names}"
    return made
