"""The documentation site: it builds strictly and alone, its links lead somewhere, and it fetches nothing."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from mkdocs.exceptions import MkDocsException
from PIL import Image

from scripts.docs_site import configuration, figures, links, reference
from scripts.docs_site.check import external_links, mistakes
from tests.docs.conftest import ROOT, build

DOCS = ROOT / "docs"


class Loader(yaml.SafeLoader):
    """Reads mkdocs.yml, whose tags are not asked for here."""


def navigation() -> list[str]:
    def pages(node: Any) -> Iterator[str]:
        if isinstance(node, str):
            yield node
        for part in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            yield from pages(part)

    return list(pages(yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), Loader)["nav"]))


def test_every_link_anchor_and_image_of_the_built_site_is_there_and_nothing_is_fetched_from_elsewhere(
    site: Path,
) -> None:
    assert mistakes(site) == []
    assert len(list(site.rglob("*.html"))) > 30


BROKEN = {
    '<a href="nowhere.html">x</a>': "nowhere.html leads nowhere",
    '<a href="start.html#no-such-place">x</a>': "the page has no such place",
    '<a href="#nor-this">x</a>': "the page has no such place",
    '<a href="../../etc/passwd">x</a>': "leads nowhere",
    '<a href="https://no address">x</a>': "is no address",
    '<a href="javascript:alert(1)">x</a>': "links of this kind are not opened",
    '<img src="images/none.png">': "images/none.png is missing",
    '<img src="images/accuracy.png" srcset="https://cdn.example.org/a.png 2x">': "fetches https://cdn.example.org/a.png",
    '<script src="https://cdn.example.org/a.js"></script>': "fetches https://cdn.example.org/a.js",
    '<script src="//cdn.example.org/a.js"></script>': "fetches //cdn.example.org/a.js",
    '<link rel="stylesheet" href="https://fonts.example.org/css">': "fetches https://fonts.example.org/css",
    "<style>@import 'https://fonts.example.org/a.css';</style>": "a style fetches https://fonts.example.org/a.css",
    '<p style="background: url(https://example.org/a.png)">': "a style fetches https://example.org/a.png",
}


def test_the_check_sees_what_is_broken(site: Path, tmp_path: Path) -> None:
    for name in ("start.html", "images"):
        (shutil.copytree if (site / name).is_dir() else shutil.copy)(site / name, tmp_path / name)
    before = set(mistakes(tmp_path))  # a part of a site has links that lead out of it
    for body, sentence in BROKEN.items():
        (tmp_path / "broken.html").write_text(f"<html><body>{body}</body></html>", encoding="utf-8")
        (found,) = set(mistakes(tmp_path)) - before
        assert found.startswith("broken.html: ")
        assert sentence in found
    (tmp_path / "broken.html").write_text('<a href="start.html#1-install">x</a>', encoding="utf-8")
    assert set(mistakes(tmp_path)) == before


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[gone](gone.md)", "gone.md"),
        pytest.param("[gone](start.md#gone)", "gone", marks=pytest.mark.slow),
        pytest.param("[gone](../src/tosmooth/gone.py)", "src/tosmooth/gone.py", marks=pytest.mark.slow),
        ("::: tosmooth.gone", "tosmooth.gone"),
    ],
)
def test_a_strict_build_refuses_a_broken_page(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str, word: str
) -> None:
    raw = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").split("\nnav:")[0]
    # Of its paths, what is not the broken page's own stays the repository's.
    raw = raw.replace("docs_dir: docs", f"docs_dir: {tmp_path / 'docs'}").replace(
        "paths: [src]", f"paths: [{ROOT / 'src'}]"
    )
    raw = raw.replace("scripts/docs_site/hook.py", str(ROOT / "scripts/docs_site/hook.py"))
    (tmp_path / "docs").mkdir()
    for name in ("stylesheets", "javascripts"):
        shutil.copytree(DOCS / name, tmp_path / "docs" / name)
    (tmp_path / "docs" / "start.md").write_text("# Start\n", encoding="utf-8")
    (tmp_path / "docs" / "index.md").write_text(f"# Home\n\n{text}\n", encoding="utf-8")
    (tmp_path / "mkdocs.yml").write_text(raw, encoding="utf-8")
    with pytest.raises((SystemExit, MkDocsException)) as stopped:
        build(tmp_path / "site", tmp_path / "mkdocs.yml")
    assert word in caplog.text + str(stopped.value)


def test_what_a_code_host_renders_the_site_renders_too(site: Path) -> None:
    """Tables and lists need a blank line before them here, which code hosts do not ask for."""
    pages = {path.relative_to(DOCS).with_suffix(".html"): path for path in DOCS.rglob("*.md")}
    pages |= {
        Path("repository/index.html"): ROOT / "README.md",
        Path("repository/CHANGELOG.html"): ROOT / "CHANGELOG.md",
    }
    for name, path in pages.items():
        source = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
        article = (site / name).read_text(encoding="utf-8").partition("<article")[2]
        tables = re.findall(r"^\|[-| :]+\|$", source, flags=re.MULTILINE)
        assert len(re.findall("<table", article)) == len(tables), path
        text = re.sub(r"<[^>]+>", "", re.sub(r"<(code|pre).*?</\1>", "", article, flags=re.DOTALL))
        assert re.findall(r".*\*\*.*|.*\]\(.*|^\|.*|^(?:- |\d+\. )(?!.*&para;).*", text, flags=re.MULTILINE) == [], path


def test_figures_shown_are_those_of_the_script_and_small(tmp_path: Path) -> None:
    shown = {path.name for path in (DOCS / "images").iterdir()}
    assert shown == {f"{name}.png" for name in figures.SHOWN}
    pages = "".join(path.read_text(encoding="utf-8") for path in DOCS.glob("*.md"))
    for name, width in figures.SHOWN.items():
        assert f"(images/{name}.png)" in pages
        with Image.open(DOCS / "images" / f"{name}.png") as picture:
            assert picture.width == width
        assert (DOCS / "images" / f"{name}.png").stat().st_size < 200_000
    Image.radial_gradient("L").resize((400, 300)).convert("RGB").save(tmp_path / "large.png")
    figures.shrunk(tmp_path / "large.png", tmp_path / "small.png", 100)
    with Image.open(tmp_path / "small.png") as picture:
        assert picture.size == (100, 75)


def test_every_page_of_docs_is_in_the_navigation_once() -> None:
    there = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    listed = navigation()
    assert there <= set(listed)
    assert len(listed) == len(set(listed))


def test_links_to_elsewhere_are_encrypted_and_few_enough_to_look_after(site: Path) -> None:
    found = external_links(site)
    assert "https://arxiv.org/abs/2206.14532" in found
    insecure = [link for link in found if link.startswith("http:")]
    assert insecure == [], "http: in a link; use https:"


def test_the_configuration_page_has_every_key_with_its_default_and_meaning(site: Path) -> None:
    text = configuration.page()
    rows = {line.split("`")[1]: line for line in text.splitlines() if line.startswith("| `")}
    assert list(rows) == configuration.keys()
    for key in (
        "student.temperatures",
        "teacher.model.name",
        "student.model.name",
        "data.text.vocabulary",
        "compute.device",
    ):
        assert key in rows
    assert "`[1.0, 2.0, 3.0, 64.0]`" in rows["student.temperatures"]
    assert "number > 0" in rows["student.temperatures"]
    assert "`dkd`" in rows["student.objectives"]
    assert "*needed*" in rows["teacher.epochs"]
    html = (site / "reference" / "configuration.html").read_text(encoding="utf-8")
    assert all(f"<code>{key}</code>" in html for key in rows)


def test_every_key_has_a_description() -> None:
    without = [
        f"{prefix}.{name}"
        for prefix, model in configuration.sections()
        for name, field in model.model_fields.items()
        if configuration.section_of(field) is None and not field.description and name not in {"model"}
    ]
    assert without == []


def test_the_reference_has_every_public_name_where_it_lives(site: Path) -> None:
    import tosmooth

    names = reference.public_names(ROOT)
    assert list(names) == tosmooth.__all__
    html = (site / "reference" / "library.html").read_text(encoding="utf-8")
    assert all(f'id="{home}"' in html for home in names.values())
    html = (site / "reference" / "integrations.html").read_text(encoding="utf-8")
    modules = reference.integrations(ROOT)
    assert {"tosmooth.integrations.transformers", "tosmooth.integrations.timm"} <= set(modules)
    assert all(f'id="{module}.{name}"' in html for module, found in modules.items() for name in found)
    for package, found in reference.NAMES.items():
        html = (site / "reference" / f"{package}.html").read_text(encoding="utf-8")
        assert all(f'id="tosmooth.{package}.{name}"' in html for name in found)


def test_the_search_index_knows_pages_keys_and_names(site: Path) -> None:
    entries = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))["docs"]
    places = {entry["location"] for entry in entries}
    assert "reference/library.html#tosmooth.losses.distillation.distillation_loss" in places
    assert any("student.temperatures" in entry["text"] for entry in entries)
    assert not any("repository/src" in place for place in places)  # code is shown, and not searched


def test_links_to_files_of_the_repository_lead_to_a_page_that_shows_the_file() -> None:
    text = (
        "[a](../src/tosmooth/config/schema.py) [b](advice.md#x) ![c](images/c.png) [d](https://x.org/../y)\n"
        "```\n[e](../src/e.py)\n```\n[f](../README.md#licence)\n"
    )
    assert links.links_of(text) == ["../src/tosmooth/config/schema.py", "advice.md", "images/c.png", "../README.md"]
    assert links.turned(text, "audit.md") == (
        "[a](repository/src/tosmooth/config/schema.py.md) [b](advice.md#x) ![c](images/c.png) [d](https://x.org/../y)\n"
        "```\n[e](../src/e.py)\n```\n[f](repository/README.md#licence)\n"
    )
    assert links.turned("[a](../../LICENSE)", "science/audit-zoo.md") == "[a](../repository/LICENSE.md)"
    readme = "[a](docs/audit.md) [b](LICENSE) [c](docs/images/x.png)"
    assert links.turned(readme, "repository/README.md") == "[a](../audit.md) [b](LICENSE.md) [c](../images/x.png)"
    assert "class StudyConfig" in links.text_of(ROOT, "src/tosmooth/config/schema.py")
    for path in ("src/none.py", "../outside", "src"):
        with pytest.raises(links.LinkError, match="no such file"):
            links.text_of(ROOT, path)
