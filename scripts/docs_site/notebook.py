"""A notebook of the repository as a page of the site: its text and its code, without running it."""

from __future__ import annotations

import json
from pathlib import Path


def page(path: Path) -> str:
    """The notebook as Markdown, with a link to the file itself beside it."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    parts = []
    for cell in cells:
        text = "".join(cell["source"]).strip()
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
    title, *rest = parts
    note = (
        f"The same as a notebook to run: [{path.name}]({path.name}). Its outputs are not kept here; the tests run "
        "it from top to bottom."
    )
    return "\n\n".join([title, note, *rest]) + "\n"
