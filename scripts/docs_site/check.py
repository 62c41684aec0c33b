"""Checks a built site as a visitor stumbles over it: links, anchors, images, and what it would fetch from elsewhere.

python -m scripts.docs_site.check site
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ASSETS = {("link", "href"), ("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("object", "data")}
ASSETS |= {("video", "src"), ("audio", "src"), ("embed", "src")}
STYLE = re.compile(r"""url\(\s*["']?((?:https?:)?//[^)"']+)|@import\s+(?:url\()?["']?((?:https?:)?//[^"')]+)""")


class Page(HTMLParser):
    """The ids of a page, and everything it points to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = {"__top"}
        self.links: list[str] = []
        self.assets: list[str] = []
        self.styles: list[str] = []
        self._in_style = False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what the tag names and points to."""
        values = {name: value for name, value in attrs if value is not None}
        self.ids |= {values[name] for name in ("id", "name") if name in values}
        self._in_style = tag == "style"
        if "style" in values:
            self.styles.append(values["style"])
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        for name in values:
            if (tag, name) in ASSETS:
                self.assets.append(values[name])
            if name == "srcset":
                self.assets += [part.split()[0] for part in values[name].split(",") if part.strip()]

    def handle_endtag(self, tag: str) -> None:
        """Styles end."""
        if tag == "style":
            self._in_style = False

    def handle_data(self, data: str) -> None:
        """Keep the text of styles."""
        if self._in_style:
            self.styles.append(data)


def mistakes(site: Path) -> list[str]:
    """Every mistake of a built site, as sentences that name page and target; none if all is well."""
    pages = {path.relative_to(site).as_posix(): Page(path) for path in sorted(site.rglob("*.html"))}
    found = []
    for name, page in pages.items():
        found += [f"{name}: {wrong}" for link in page.links if (wrong := _link(site, pages, name, link))]
        found += [f"{name}: {wrong}" for asset in page.assets if (wrong := _asset(site, name, asset))]
        found += [f"{name}: a style fetches {url}" for style in page.styles for url in _fetched(style)]
    for path in sorted(site.rglob("*.css")):
        fetched = _fetched(path.read_text(encoding="utf-8"))
        found += [f"{path.relative_to(site).as_posix()}: a style fetches {url}" for url in fetched]
    return found


def external_links(site: Path) -> list[str]:
    """The addresses outside of the site that it links to, each once."""
    links = {link for path in site.rglob("*.html") for link in Page(path).links}
    return sorted(link for link in links if urlsplit(link).scheme in {"http", "https"})


def _fetched(style: str) -> list[str]:
    return [match.group(1) or match.group(2) for match in STYLE.finditer(style)]


def _place(site: Path, name: str, path: str) -> Path:
    """The file that a relative address means, for the page that holds it."""
    if path.startswith("/") and name == "404.html":  # a server shows this page under any address
        return site / path.lstrip("/")
    return (site / name).parent / path


def _link(site: Path, pages: dict[str, Page], name: str, link: str) -> str | None:
    address = urlsplit(link)
    if address.scheme in {"http", "https"}:
        fine = "." in address.netloc and not re.search(r"[\s<>\"]", link)
        return None if fine else f"{link} is no address"
    if address.scheme:
        return None if address.scheme == "mailto" else f"{link}: links of this kind are not opened"
    path = unquote(address.path)
    target = _place(site, name, path).resolve() if path else (site / name).resolve()
    if target.is_dir():
        target = target / "index.html"
    if not target.is_file() or not target.is_relative_to(site.resolve()):
        return f"{link} leads nowhere"
    if address.fragment and target.suffix == ".html":
        ids = pages[target.relative_to(site.resolve()).as_posix()].ids
        if unquote(address.fragment) not in ids:
            return f"{link}: the page has no such place"
    return None


def _asset(site: Path, name: str, asset: str) -> str | None:
    address = urlsplit(asset)
    if address.scheme == "data":
        return None
    if address.scheme or address.netloc:
        return f"fetches {asset}"
    return None if _place(site, name, unquote(address.path)).is_file() else f"{asset} is missing"


def main(site: Path) -> int:
    """Print mistakes; 1 if there are any."""
    found = mistakes(site)
    for line in found:
        print(line)
    print(f"{len(list(site.rglob('*.html')))} pages, {len(found)} mistakes")
    return 1 if found else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m scripts.docs_site.check SITE")
    sys.exit(main(Path(sys.argv[1])))
