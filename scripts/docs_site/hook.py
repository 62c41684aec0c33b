"""What mkdocs calls while it builds the site: pages made from the code, and links to files of the repository."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:  # mkdocs loads this file by its path
    sys.path.insert(0, str(ROOT))

from scripts.docs_site import configuration, links, notebook, reference  # noqa: E402

# Files of the repository that the navigation shows.
PLACED = ("CHANGELOG.md", "CONTRIBUTING.md")
NOTEBOOK = "notebooks/default-study"


def generated() -> dict[str, str]:
    """Pages that no file of docs/ holds, by their path within the site."""
    return {
        **reference.pages(ROOT),
        **{links.page_for(path): links.text_of(ROOT, path) for path in PLACED},
        "reference/configuration.md": configuration.page(),
        f"{NOTEBOOK}.md": notebook.page(ROOT / "docs" / f"{NOTEBOOK}.ipynb"),
    }


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the generated pages, and a page for each file of the repository that some page links to."""
    for path, text in generated().items():
        files.append(File.generated(config, path, content=text))
    waiting = [file.src_uri for file in files.documentation_pages()]
    while waiting:
        source = waiting.pop()
        for link in links.links_of(files.get_file_from_path(source).content_string):
            path = links.target_in_repository(source, link)
            if path is None or files.get_file_from_path(links.page_for(path)):
                continue
            try:
                text = links.text_of(ROOT, path)
            except links.LinkError as error:
                raise PluginError(f"docs/{source}: {error}") from None
            files.append(File.generated(config, links.page_for(path), content=text))
            waiting.append(links.page_for(path))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: Any) -> str:
    """Turn the links to files of the repository towards their pages."""
    return links.turned(markdown, page.file.src_uri)
