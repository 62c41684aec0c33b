"""A study's folder from a stranger: its report is written into it and nowhere else, and opening it runs nothing."""

from __future__ import annotations

import csv
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from tests.fake_study.folder import Variant, write_study
from tests.report.test_browser import BROWSER, Visit, browser  # noqa: F401
from tests.report.test_build import read_page
from tosmooth import cli
from tosmooth.errors import StudyError
from tosmooth.report.build import build_report
from tosmooth.report.reading import read_study
from tosmooth.terminal import shown

RUN = "window.hacked=1;alert(1)"
MARKUP = f"</script><script>{RUN}</script>"
CLASSES = (
    f"<img src=x onerror='{RUN}'>\u202eesrever\u2066",
    "a\nb\r\x1b[2J\x9b31m\u2028{{7*7}}${7*7}",
    f'"><svg onload="{RUN}">\\\0\uffff',
    "=HYPERLINK(\"http://example.org\";\"x\")",
    "قميص, חולצה",
)  # fmt: skip
OBJECTIVE = "../../../../../../tmp/objective\n\u202e"
STUDENT = f"/etc/student/{MARKUP}"
NAME = f"javascript:{RUN} {MARKUP} [red]\x1b[31m\u202e"
SENTENCE = f"Distil <b>bold</b> {MARKUP} [/red][link=x] \x1b]0;title\x07\r\u202eT = 1."


def rewritten(value: Any, change: Callable[[str], str]) -> Any:
    """The same data with every text changed."""
    if isinstance(value, dict):
        return {key: rewritten(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [rewritten(item, change) for item in value]
    return change(value) if isinstance(value, str) else value


def strange(folder: Path) -> Path:
    """A study every name and text of which tries to do harm; of its two objectives, one is a path."""
    write_study(
        folder,
        Variant(
            seeds=2, temperatures=(1, 64), classes=CLASSES, name=NAME, unreadable=(SENTENCE, CLASSES[3]), students=True
        ),
    )
    for file in folder.rglob("*.csv"):
        frame = pd.read_csv(file)
        if "objective" in frame:
            other = frame.assign(objective="@SUM(1+1)|cmd", student="../../../tmp/student")
            if "cell" in frame:
                other["cell"] = "-2+3+cmd|' /C calc'!A0"
            frame = frame.replace({"hinton": OBJECTIVE, "resnet8": STUDENT})
            frame = pd.concat([frame.assign(**{f"={MARKUP}": "+1"}), other])
        frame.to_csv(file, index=False)
    for file in folder.rglob("*.json"):
        value = json.loads(file.read_text(encoding="utf-8"))
        names = {"hinton": OBJECTIVE, "resnet8": STUDENT}
        value = rewritten(value, lambda text, names=names: names.get(text, text))
        if file.name in {"advice.json", "verdict.json"}:
            value |= {"rule": {"sentence": SENTENCE}} if "rule" in value else {}  # as an earlier version wrote it
            value |= {"caveats": [SENTENCE, {"code": "one seed", "unit": SENTENCE}]} if "caveats" in value else {}
            value.get("effect", {}).update({"unit": SENTENCE} if "effect" in value else {})
            if isinstance(facts := value.get("answer"), dict):
                facts["unit"] = f'" onmouseover="{RUN}'
        if file.name == "environment.json":
            value = {**rewritten(value, lambda text: f"{text} {SENTENCE}"), MARKUP: MARKUP}
        if file.name == "similarity.json":
            value["source"] = value["dissimilar_source"] = SENTENCE
            value |= {"notes": [SENTENCE], "compared": [value["compared"][0] | {"source": SENTENCE}, MARKUP]}
        if file.name == "projection.json":
            value["plane"] = SENTENCE
        file.write_text(json.dumps(value), encoding="utf-8")
    config = yaml.safe_load((folder / "study.yaml").read_text(encoding="utf-8"))
    config["description"] = SENTENCE
    config["data"]["source"] = config["teacher"]["model"]["name"] = MARKUP
    config[MARKUP] = [MARKUP, "\u202e"]
    (folder / "study.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = strange(tmp_path_factory.mktemp("stranger") / "a" / "b" / "study")
    build_report(folder)
    return folder


FIGURE_FILES = ("diffusion", "diffusion_summary", "diffusion_classes", "projection", "calibration")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A study with few figures, in a folder below the test's own."""
    skip = tuple(f"analysis/{name}.csv" for name in FIGURE_FILES)
    variant = Variant(seeds=1, temperatures=(1, 64), validation=False, skip=skip)
    return write_study(tmp_path / "home" / "s", variant)


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return write_study(tmp_path / "s", Variant(seeds=1, temperatures=(1, 64), validation=False))


def command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["tosmooth", *map(str, arguments)])
    return cli._run(cli.app)


def test_files_stay_in_their_folders(stranger: Path) -> None:
    outside = [p for p in stranger.parents[1].rglob("*") if p.is_file() and not p.is_relative_to(stranger)]
    assert outside == []
    made = {p.relative_to(stranger).parts[0] for p in stranger.rglob("*") if p.is_file()}
    assert made == {"analysis", "environment.json", "figures", "report.html", "results.csv", "state", "students",
                    "study.yaml", "tables", "teachers.csv", "unreadable.csv"}  # fmt: skip
    for folder in ("figures", "tables"):
        for path in (stranger / folder).iterdir():
            assert path.is_file()
            assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*\.(png|pdf|csv|tex)", path.name)
    assert len(list((stranger / "figures").glob("accuracy*.png"))) == 2  # one a setting
    assert {"learning-curves.png", "confusions.csv"} <= {path.name for path in stranger.rglob("*")}


def test_the_page_holds_the_names_as_text(stranger: Path) -> None:
    page = read_page(stranger)
    assert len(page.scripts) == 2
    assert not any(RUN in script for script in page.scripts[1:])
    assert {tag for tag, _ in page.elements if tag in {"img", "svg", "iframe", "object", "link", "b"}} <= {
        "img", "link", "b"}  # fmt: skip
    for tag, attributes in page.elements:
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
        for name in ("src", "href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:")), (tag, attributes)
    assert MARKUP in page.text
    assert shown(CLASSES[0]) in page.text
    assert CLASSES[4] in page.text  # letters written from right to left stay as they are
    html = (stranger / "report.html").read_text(encoding="utf-8")
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200e\u200f\x1b\r\x80-\x9f]", html)


@pytest.mark.browser
@pytest.mark.skipif(BROWSER is None and "TOSMOOTH_REQUIRE_BROWSER" not in os.environ, reason="no Chromium")
def test_the_page_runs_nothing_and_asks_for_nothing(browser: Any, stranger: Path) -> None:  # noqa: F811
    visit = Visit(browser, stranger)
    page = visit.page
    policy = page.get_attribute('meta[http-equiv="Content-Security-Policy"]', "content")
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "connect-src" not in policy  # so nothing may be asked for
    visit.unfold()
    assert page.query_selector_all("figure.failed") == []
    for chart in (
        "accuracy",
        "classes",
        "projection",
        "learning-curves",
    ):  # tooltips are made of names, when the mouse is there
        for mark in page.query_selector_all(f'[data-chart="{chart}"] svg path[aria-roledescription="point"]')[-3:]:
            mark.hover(force=True)
    tip = page.query_selector("#vg-tooltip-element")
    assert tip is not None
    assert tip.query_selector("img, svg, script, a, b") is None
    for button in page.query_selector_all("th button")[:20]:
        button.evaluate("button => button.click()")
    page.emulate_media(color_scheme="dark")
    page.wait_for_selector('html[data-charts="dark"]')
    assert page.evaluate("window.hacked") is None
    assert visit.complaints == []  # no dialog, no error, nothing that the policy had to stop
    assert all(url.startswith(("file:", "data:", "blob:")) for url in visit.requests)
    assert [url for url in visit.requests if url.startswith("file:")] == [(stranger / "report.html").as_uri()]
    # Were a script to get through all escaping after all, the browser would refuse it.
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'window.hacked = 2'}))")
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.hacked=3\">')")
    page.wait_for_timeout(200)
    assert page.evaluate("window.hacked") is None
    assert any("Content Security Policy" in text for text in visit.complaints)
    page.close()


def test_latex_tables_hold_one_line_a_row(stranger: Path) -> None:
    for path in (stranger / "tables").glob("*.tex"):
        text = path.read_text(encoding="utf-8")
        for line in text.splitlines():
            if line.startswith("    ") and not line.startswith("    \\"):
                assert line.endswith(r" \\"), (path.name, line)
        assert text.splitlines()[-1] == r"\end{table}"
        bare = re.sub(r"\\([&%$#_{}]|[A-Za-z]+\{?)", "", text.removeprefix("% needs \\usepackage{booktabs}\n"))
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", bare), path.name
        assert not re.search(r"[%#]", bare), path.name
    latex = (stranger / "tables/classes.tex").read_text(encoding="utf-8")
    assert r"a\textbackslash{}nb\textbackslash{}r\textbackslash{}x1b{[}2J" in latex


def test_a_spreadsheet_finds_no_formula_in_the_tables(stranger: Path) -> None:
    quoted = set()
    for path in (stranger / "tables").glob("*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.reader(file):
                for cell in row:
                    if cell.startswith(("=", "+", "-", "@", "\t", "\r")):
                        float(cell)  # only numbers begin like this
                    quoted |= {cell} if cell.startswith("'") else set()
    assert {"'@SUM(1+1)|cmd", "'-2+3+cmd|' /C calc'!A0", f"'={MARKUP}"} <= quoted


def test_numbers_in_the_tables_are_not_touched(stranger: Path) -> None:
    read, table = read_study(stranger).cells, pd.read_csv(stranger / "tables/grid.csv")
    for column in ("label_smoothing", "temperature", "test/top1", "diffusion/eta_s2"):
        assert table[column].tolist() == read[column].tolist()
    assert (table["diffusion/eta_s2"] < 0).any()
    assert set(table[f"'={MARKUP}"].dropna()) == {1}  # "+1" is a number, even where it came as text


def test_the_terminal_gets_texts_without_power(
    stranger: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for options in ((), ("--json",)):
        assert command(monkeypatch, "report", stranger, *options) == 0
        out, err = capfd.readouterr()
        assert out == shown(out, lines=True)
        assert err == ""
        assert ("onmouseover" if options else "Distil <b>bold</b>") in out
        assert options or "[/red]" in out


@pytest.mark.parametrize("name", ["figures", "tables", "state", "report.html"])
@pytest.mark.parametrize("kind", ["absolute", "relative", "dangling", "loop"])
def test_nothing_is_written_through_a_link(
    small: Path,
    tmp_path: Path,
    name: str,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    outside = tmp_path / "outside"
    if name == "report.html":
        outside.write_text("mine", encoding="utf-8")
    else:
        outside.mkdir()
    target = {"absolute": outside, "relative": "../../outside", "dangling": tmp_path / "new", "loop": small / name}[
        kind
    ]
    (small / name).symlink_to(target)
    before = sorted(tmp_path.rglob("*"))
    assert command(monkeypatch, "report", small) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert " is a link " in err
    assert "Traceback" not in err
    assert sorted(tmp_path.rglob("*")) == before
    assert outside.is_dir() or outside.read_text(encoding="utf-8") == "mine"


def test_links_within_the_study_and_to_it_are_no_harm(small: Path, tmp_path: Path) -> None:
    (small / "drawn").mkdir()
    (small / "figures").symlink_to("drawn")
    (tmp_path / "latest").symlink_to(small)
    build_report(tmp_path / "latest")
    assert (small / "drawn" / "accuracy.png").is_file()
    assert (small / "report.html").is_file()


def test_a_link_in_the_place_of_a_file_is_replaced_not_followed(small: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("mine", encoding="utf-8")
    (small / "tables").mkdir()
    for name in ("grid.csv", "grid.tex", f".grid.csv.{os.getpid()}.tmp"):
        (small / "tables" / name).symlink_to(outside)
    build_report(small)
    assert outside.read_text(encoding="utf-8") == "mine"
    assert not (small / "tables/grid.csv").is_symlink()
    assert not list(small.rglob("*.tmp"))


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(20)
)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("study.yaml", BOMB, "holds more than 100,000 values"),
        ("study.yaml", "a: &a [*a]\n", "refers to itself"),
        ("study.yaml", "a: " + "[" * 5000, "nested more than 50 levels"),
        ("study.yaml", "name: !!python/object/apply:os.system ['true']\n", "not readable as YAML"),
        ("study.yaml", "name: 2001-99-99\n", "not readable as YAML"),
        ("study.yaml", b"\xff\xfe", "not readable as YAML"),
        ("study.yaml", "data: 5\n", "no report can be made of it"),
        ("study.yaml", "data: {validation: many}\n", "no report can be made of it"),
        ("analysis/advice.json", "[" * 100_000, "nested more than 50 levels"),
        ("analysis/advice.json", '{"a":' * 60 + "1" + "}" * 60, "nested more than 50 levels"),
        ("analysis/advice.json", '{"recommendation": {"label_smoothing": "x"}}', "no report can be made of it"),
        ("analysis/advice.json", '{"comparisons": 5}', "no report can be made of it"),
        ("analysis/advice.json", '{"margin": ' + "9" * 5000 + "}", "not readable as JSON"),
        ("analysis/verdict.json", '{"sentence": "\\ud800"}', "not valid Unicode"),
        ("analysis/verdict.json", '{"answer": {"chosen": 5}}', "no report can be made of it"),
        ("environment.json", '{"seconds": Infinity}', "no report can be made of it"),
        ("environment.json", '{"seconds": "soon"}', "no report can be made of it"),
        ("analysis/projection.csv", "x\n1\n", "no report can be made of it"),
        ("analysis/calibration.csv", b"\xff\xfe\x00", "not readable as CSV"),
        ("results.csv", 'a,"b\n', "not readable as CSV"),
    ],
)
def test_damaged_files_give_one_sentence(
    small: Path, name: str, content: str | bytes, expected: str,
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (small / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    before = sorted(small.rglob("*"))
    assert command(monkeypatch, "report", small) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert expected in err
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert sorted(small.rglob("*")) == before  # all or nothing


@pytest.mark.parametrize(
    ("file", "column", "value"),
    [
        ("results.csv", "label_smoothing", "inf"),
        ("results.csv", "temperature", ""),
        ("results.csv", "temperature", "nan"),
        ("results.csv", "seed", "first"),
        ("results.csv", "test/top1", "<b>88</b>"),
        ("teachers.csv", "label_smoothing", "none"),
        ("analysis/diffusion_summary.csv", "mean", "1e"),
        ("analysis/diffusion_classes.csv", "eta_s1", "?"),
        ("analysis/projection.csv", "x", "left"),
        ("analysis/calibration.csv", "count", "[1]"),
    ],
)
def test_a_column_that_must_hold_numbers_is_named(whole: Path, file: str, column: str, value: str) -> None:
    frame = pd.read_csv(whole / file, dtype=object)
    frame.loc[0, column] = value
    frame.to_csv(whole / file, index=False)
    with pytest.raises(StudyError, match=rf"{Path(file).name}: the column '{column}' must hold "):
        read_study(whole)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("value", ["inf", "nan", "-1e308"])
def test_numbers_beyond_all_measure_give_a_report_or_one_sentence(
    whole: Path, value: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    columns = {
        "results": "test/top1",
        "teachers": "cal/ece",
        "analysis/projection": "x",
        "analysis/calibration": "count",
    }
    for name, column in columns.items():
        frame = pd.read_csv(whole / f"{name}.csv", dtype=object)
        frame.loc[frame.index[-1], column] = value
        frame.to_csv(whole / f"{name}.csv", index=False)
    written = command(monkeypatch, "report", whole) == 0
    assert (whole / "report.html").is_file() == written
    assert capfd.readouterr().err.count("\n") == (0 if written else 1)


def test_a_name_as_long_as_a_book_is_cut(whole: Path) -> None:
    frame = pd.read_csv(whole / "analysis/diffusion_classes.csv")
    frame.replace({"class_name": {"Coat": "x" * 1_000_000}}).to_csv(
        whole / "analysis/diffusion_classes.csv", index=False
    )
    assert max(map(len, read_study(whole).classes["class_name"])) == 1001
    build_report(whole)  # would take hours


def test_settings_whose_names_look_alike_get_files_of_their_own(small: Path) -> None:
    cells = pd.read_csv(small / "results.csv")
    names = ["hinton", "a/b", "a:b", "A-b", "", "x" * 400, "x" * 400 + "y", "..", "../.."]
    pd.concat([cells.assign(objective=name) for name in names]).to_csv(small / "results.csv", index=False)
    keys = list(read_study(small).accuracy_keys.values())
    assert len({key.casefold() for key in keys}) == len(keys) == len(names)
    assert keys[0] == "accuracy"
    assert all(len(key) < 140 and re.fullmatch(r"accuracy[A-Za-z0-9._-]*", key) for key in keys)
