"""Put the tables of the last runs into docs/benchmarks.md and docs/scaling.md: `python -m benchmarks.write_docs`."""

from __future__ import annotations

import json
import re
from pathlib import Path

from benchmarks.common import RESULTS, shown

DOCS = [RESULTS.parent.parent / "docs" / name for name in ("benchmarks.md", "scaling.md")]


def as_markdown(name: str) -> str:
    """One benchmark's table, with the date, hardware and command."""
    found = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    machine = found["environment"]
    where = machine["gpu"] or f"{machine['cpu']}, {machine['cores']} cores"
    versions = ", ".join(f"{p} {machine[p]}" for p in ("torch", "timm", "torchdistill") if machine.get(p))
    lines = [
        f"`{found['command']}` · {found['date'][:10]} · {where} · {versions}",
        "",
        "| " + " | ".join(found["columns"]) + " |",
        "|---" + "|--:" * (len(found["columns"]) - 1) + "|",
        *("| " + " | ".join(shown(cell) for cell in row) + " |" for row in found["rows"]),
        "",
        *(f"{note}.  " for note in found["notes"]),
    ]
    return "\n".join(lines).strip()


def main() -> None:
    for path in DOCS:
        _write(path)


def _write(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for name in re.findall(r"<!-- (\S+) -->", text):
        if (RESULTS / f"{name}.json").is_file():
            replacement = f"<!-- {name} -->\n{as_markdown(name)}\n<!-- end -->"
            text = re.sub(rf"<!-- {name} -->.*?<!-- end -->", lambda _, r=replacement: r, text, flags=re.S)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
