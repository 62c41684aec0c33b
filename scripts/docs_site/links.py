"""Links of the documentation to files of the repository: on a code host they work as they are, on the site by a copy.

A page says ``../src/tosmooth/config/schema.py``. The site shows only ``docs/``, so each file that some page links to
becomes a page of its own under ``repository/``, and the link is turned towards it.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

SHOWN = "repository"  # folder of the site that holds those files
LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml", ".csv": "text", ".sh": "bash"}
_FENCE = re.compile(r"^(```|~~~).*?^\1", flags=re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<=\]\()(?!\w+:|#|<)([^)\s#]+)(#[^)\s]*)?(?=\))")


class LinkError(Exception):
    """A link that leads nowhere; the text names page and link."""


def links_of(markdown: str) -> list[str]:
    """Relative targets of all links and images outside of code, without their anchors."""
    return [match.group(1) for match in _LINK.finditer(_FENCE.sub("", markdown))]


def home_of(source: str) -> str:
    """The folder in the repository that relative links of a page start from, for the page's path within the site.

    Copies of repository files start where the file lies, everything else in `docs/`.
    """
    inside = source.removeprefix(f"{SHOWN}/")
    return posixpath.dirname(inside if inside != source else posixpath.join("docs", source))


def target_in_repository(source: str, link: str) -> str | None:
    """The linked path from the root of the repository; None for one within `docs/`."""
    path = posixpath.normpath(posixpath.join(home_of(source), link))
    return None if path == "docs" or path.startswith("docs/") else path


def page_for(path: str) -> str:
    """The page of the site that shows a file of the repository."""
    return f"{SHOWN}/{path}" if path.endswith(".md") else f"{SHOWN}/{path}.md"


def turned(markdown: str, source: str) -> str:
    """The page's text with links for the site; `source` is the page's path within it."""
    fences = [match.span() for match in _FENCE.finditer(markdown)]

    def turn(match: re.Match[str]) -> str:
        if any(start <= match.start() < end for start, end in fences):
            return match.group(0)
        path = posixpath.normpath(posixpath.join(home_of(source), match.group(1)))
        inside = target_in_repository(source, match.group(1)) is None
        page = path.removeprefix("docs/") if inside else page_for(path)
        return posixpath.relpath(page, posixpath.dirname(source) or ".") + (match.group(2) or "")

    return _LINK.sub(turn, markdown)


def text_of(root: Path, path: str) -> str:
    """The Markdown that shows a file of the repository.

    Raises:
        LinkError: there is no such file in the repository.
    """
    file = (root / path).resolve()
    if not file.is_file() or not file.is_relative_to(root.resolve()):
        raise LinkError(f"a page links to {path}, and the repository has no such file")
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".md":
        return text
    return (
        f"---\ntitle: {file.name}\nsearch: {{exclude: true}}\n---\n\n# {path}\n\n"
        f"~~~~~~ {LANGUAGES.get(file.suffix, 'text')}\n{text.rstrip()}\n~~~~~~\n"
    )
