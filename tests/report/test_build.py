from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import altair as alt
import pandas as pd
import pytest
from altair.utils.schemapi import SchemaValidationError

from tests.fake_study.folder import HOSTILE, Variant, write_study
from tosmooth.errors import StudyError
from tosmooth.report.build import build_report
from tosmooth.report.figures import make_figures
from tosmooth.report.figures.figure import COLUMN_WIDTH, Size
from tosmooth.report.reading import StudyFiles

FIGURES = ["accuracy", "calibration-error", "classes", "diffusion", "learning-curves", "projection", "reliability"]
TABLES = [
    "accuracy", "calibration", "classes", "comparisons", "confusions", "diffusion", "grid", "sensitivity", "teachers",
    "views",
]  # fmt: skip


def test_every_figure_is_what_the_schema_of_vega_lite_allows(effect_files: StudyFiles):
    """A report takes them as they are: to validate them all takes a fifth of its time."""
    figures = make_figures(effect_files)
    assert {figure.key for figure in figures} >= set(FIGURES)
    with alt.data_transformers.enable("default", max_rows=None):
        for figure in figures:
            for size in (Size(None, 1.0, paper=False), Size(COLUMN_WIDTH, 0.6, paper=True)):
                figure.draw(size).to_dict()  # which validates
    with pytest.raises(SchemaValidationError):
        alt.Chart().mark_point(size="large").to_dict()


class Reader(HTMLParser):
    """The visible text, every element's attributes, and the content of scripts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self._inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag if tag in {"script", "style"} else self._inside
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = "" if tag == self._inside else self._inside

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif not self._inside:
            self.text += data.replace("\u00a0", " ")


def read_page(folder: Path) -> Reader:
    return Reader((folder / "report.html").read_text(encoding="utf-8"))


def test_everything_is_written(effect_study: Path) -> None:
    assert sorted(p.stem for p in (effect_study / "figures").glob("*.png")) == FIGURES
    assert sorted(p.stem for p in (effect_study / "figures").glob("*.pdf")) == FIGURES
    for kind in ("csv", "tex"):
        assert set(TABLES) <= {p.stem for p in (effect_study / "tables").glob(f"*.{kind}")}
    assert not list(effect_study.rglob("*.tmp"))
    assert (effect_study / "report.html").stat().st_size < 4_000_000
    assert len(pd.read_csv(effect_study / "tables/grid.csv")) == 48


def test_the_verdict_comes_first(effect_study: Path) -> None:
    text = " ".join(read_page(effect_study).text.split())
    verdict = text.index("smooth the teacher (α = 0.1). Distil at T = 1: 88.0 ± 0.1 % test top-1 over 6 seeds.")
    questions = [text.index(question) for question in ("Smooth the teacher?", "Which T?", "What do I risk?")]
    assert [verdict, *questions] == sorted([verdict, *questions])
    assert questions[-1] < text.index("Accuracy falls by") < text.index("All numbers")
    assert "η" not in text[: text.index("Accuracy falls by")]  # the answer needs none of it; "why" comes after
    assert "PREVIEW" not in text
    assert 'class="tag"' not in (effect_study / "report.html").read_text(encoding="utf-8")


def test_nothing_is_fetched_from_anywhere(effect_study: Path) -> None:
    page = read_page(effect_study)
    for tag, attributes in page.elements:
        for name in ("src", "href"):
            value = attributes.get(name) or "#"
            assert value.startswith(("#", "data:")), (tag, value[:80])
    policy = next(a["content"] for t, a in page.elements if t == "meta" and a.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_every_chart_has_an_alternative_text_and_a_static_twin(effect_study: Path) -> None:
    page = read_page(effect_study)
    charts = [a for t, a in page.elements if t == "div" and "data-chart" in a]
    images = [a for t, a in page.elements if t == "img"]
    assert sorted(str(a["data-chart"]) for a in charts) == FIGURES
    for attributes in charts:
        assert attributes["role"] == "img"
        assert len(str(attributes["aria-label"])) > 40
    assert [a["alt"] for a in images] == [a["aria-label"] for a in charts]


def test_a_study_without_the_effect_says_so(hostile_study: Path) -> None:
    text = " ".join(read_page(hostile_study).text.split())
    assert "Your data does not show systematic diffusion." in text
    assert "Systematic diffusion: not shown" in text
    assert "No clear change in accuracy from T = 1 to T = 64" in text
    assert "no drift towards similar classes due to smoothing is shown" in text
    assert "smoothing does not matter" in text
    assert "drift towards similar classes: η" not in text


def test_hostile_names_stay_text(hostile_study: Path) -> None:
    page = read_page(hostile_study)
    assert len(page.scripts) == 2  # the charts' data and the program
    assert not any("alert(" in script for script in page.scripts[1:])
    assert HOSTILE in page.text
    assert "<b>bold</b> & $y$" in page.text
    assert not any(attributes.get("onerror") for _, attributes in page.elements)
    specs = json.loads(page.scripts[0])["specs"]
    assert HOSTILE in json.dumps(specs["projection"], ensure_ascii=False)
    latex = (hostile_study / "tables/classes.tex").read_text(encoding="utf-8")
    assert r"a\_b \& 50 \% \#1 \$x\$ \{\}\textasciitilde{}\textasciicircum{}\textbackslash{}" in latex


def test_a_preview_says_so_at_every_heading_and_table(hostile_study: Path) -> None:
    html = (hostile_study / "report.html").read_text(encoding="utf-8")
    sections = re.findall(r'<h2 id="[^"]+">(.*?)</h2>', html)
    assert len(sections) == 9
    assert all('<span class="tag">preview</span>' in heading for heading in sections)
    assert 'class="banner"' in html
    for path in (hostile_study / "tables").glob("*.tex"):
        assert "PREVIEW" in path.read_text(encoding="utf-8"), path.name


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        (Variant(seeds=1, validation=False), "One seed"),
        (Variant(seeds=2, alphas=(0.1,), temperatures=(4,)), "no unsmoothed teacher"),
        (
            Variant(
                seeds=1, temperatures=(1, 64),
                skip=("analysis/advice.json", "analysis/verdict.json", "analysis/projection.csv", "teachers.csv",
                      "analysis/diffusion.csv", "analysis/diffusion_summary.csv", "analysis/diffusion_classes.csv",
                      "analysis/calibration.csv", "analysis/similarity.json", "environment.json"),
            ),
            "No verdict yet: 4 of 4 students finished.",
        ),
        (Variant(seeds=1, temperatures=(1,), failed=tuple(f"hinton-a{a}-T1-resnet8-s0" for a in ("0", "0.1"))),
         "2 of 2 students did not finish"),
    ],
)  # fmt: skip
def test_a_study_with_gaps_still_gives_an_honest_report(tmp_path: Path, variant: Variant, expected: str) -> None:
    folder = write_study(tmp_path / "s", variant)
    build_report(folder)
    text = " ".join(read_page(folder).text.split())
    assert expected in text
    assert "nan" not in re.findall(r"\w+", text)


def test_objectives_get_a_figure_and_a_table_each(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "s", Variant(seeds=1, temperatures=(1, 2)))
    cells = pd.read_csv(folder / "results.csv")
    other = cells.assign(objective="teacher_only", student="hf:a/../b")
    pd.concat([cells, other]).to_csv(folder / "results.csv", index=False)
    build_report(folder)
    assert (folder / "figures/accuracy-teacher_only-hf-a-..-b.png").is_file()
    assert (folder / "tables/accuracy-teacher_only-hf-a-..-b.tex").is_file()


def test_building_again_gives_the_same_page(effect_study: Path, tmp_path: Path) -> None:
    again = shutil.copytree(effect_study, tmp_path / "demo")
    before = (effect_study / "report.html").read_text(encoding="utf-8")
    assert build_report(again).read_text(encoding="utf-8") == before.replace(str(effect_study), str(again))


def test_a_folder_that_is_no_study_is_refused_and_left_alone(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"no study\.yaml"):
        build_report(tmp_path)
    assert not list(tmp_path.iterdir())
