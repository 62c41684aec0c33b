"""The report of a translation study: BLEU in every sentence, figure and table, and sample translations."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from tests.fake_study.folder import Variant, write_study
from tests.fake_study.translations import REFERENCES, SOURCES, write_translation_study, write_translations
from tosmooth.errors import StudyError
from tosmooth.report.build import build_report, make_tables
from tosmooth.report.figures import make_figures
from tosmooth.report.reading import StudyFiles, read_study
from tosmooth.report.results_tables import accuracy_table, cells_table, published_tables, teachers_table
from tosmooth.report.tables import Table
from tosmooth.report.translations import LONGEST, translations_table
from tosmooth.report.wording import headline, how_it_was_run
from tosmooth.tasks.translation import BLEU

WORST = "hinton-a0.1-T64-resnet8-s0"
HOSTILE = "</td><script>alert(1)</script>\u202e{{7*7}}\x1b[2J\n\u2028=1+1"


def texts(table: Table | None) -> dict[str, list[str]]:
    assert table is not None
    return {column.title: list(column.texts) for column in table.columns}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_translation_study(tmp_path_factory.mktemp("translation") / "demo")


@pytest.fixture(scope="module")
def files(study: Path) -> StudyFiles:
    return read_study(study)


def test_the_metric_is_the_tasks(files: StudyFiles, tmp_path: Path) -> None:
    assert files.metric is BLEU
    assert (files.accuracy, files.split_name) == ("test/bleu", "test")
    assert files.accuracy_keys[files.settings[0]] == "bleu"
    assert read_study(write_study(tmp_path / "s")).metric.name == "top1"


def test_tables_say_bleu_with_chrf_the_novel_subset_and_token_accuracy_beside_it(files: StudyFiles) -> None:
    own = accuracy_table(files, files.settings[0], main=True)
    assert texts(own)["α = 0.1"][:2] == ["30.5", "28.0 ± 0.1"]
    assert own is not None
    assert own.caption.startswith("BLEU, test split: mean ± half of the 95 % interval over 6 seeds (objective hinton,")
    for table in (cells_table(files), teachers_table(files)):
        found = texts(table)
        assert [title for title in found if "BLEU" in title or "chrF" in title or "token" in title] == [
            "val BLEU", "test BLEU", "test BLEU, novel", "test chrF", "test chrF, novel", "val token accuracy",
            "test token accuracy", "test token accuracy, novel",
        ]  # fmt: skip
        assert (found["test token accuracy"][0], found["test token accuracy, novel"][0]) == ("41.50", "37.25")
    grid = texts(cells_table(files))
    assert (grid["test BLEU"][0], grid["test BLEU, novel"][0], grid["test chrF"][0]) == ("26.90", "21.90", "46.9")
    assert grid["test chrF, novel"][0] == "42.9"


def test_figures_say_bleu(tmp_path: Path) -> None:
    grid = Variant(alphas=(0.0, 0.05, 0.1))
    figures = {figure.key: figure for figure in make_figures(read_study(write_translation_study(tmp_path / "s", grid)))}
    assert {"bleu", "heatmap-bleu", "heatmap-diffusion"} <= figures.keys()
    assert figures["bleu"].finding.startswith("BLEU falls by ")
    assert "BLEU on test data" in json.dumps(figures["bleu"].screen_spec())
    assert figures["heatmap-bleu"].finding.startswith(
        "Validation BLEU is highest at α = 0.1, T = 1 (28.3 ± 0.1) and lowest"
    )
    for figure in figures.values():
        said = f"{figure.finding} {figure.alt} {figure.caption}"
        assert "op-1" not in said
        if "calibration" not in figure.key and figure.key != "reliability":
            assert "ccuracy" not in said


def test_the_page_speaks_of_bleu_and_of_the_papers_translation_tables(study: Path) -> None:
    build_report(study)
    page = (study / "report.html").read_text(encoding="utf-8")
    assert 'href="#bleu">BLEU</a>' in page
    assert "BLEU, beside the paper’s" in page
    assert "IWSLT14 English → German, Transformer → Transformer: BLEU, as published (one run a cell)." in page
    assert "not comparable" in page
    assert "ImageNet" not in page
    shown, _, charts = page.partition('<script type="application/json" id="charts">')
    assert "op-1" not in shown + charts.partition("</script>")[0]
    assert "Sample translations" in page
    assert (study / "figures" / "bleu.png").is_file()
    assert (study / "tables" / "translations.tex").is_file()


def test_the_answer_is_in_bleu(files: StudyFiles) -> None:
    assert "test BLEU" in headline(files)
    assert "%" not in headline(files)


def test_the_papers_table_of_the_same_language_comes_first(files: StudyFiles) -> None:
    def tables(language: str) -> list[Table]:
        data = {"source": "translation_sample", "text": {"source_language": "en", "target_language": language}}
        return published_tables(replace(files, config=files.config | {"data": data}))

    for language, title in (("ru", "Russian"), ("de", "German"), ("", "German"), ("fr", "German")):
        first, other = tables(language)
        assert title in first.caption
        assert first.caption != other.caption
    # Table of the authors' repository: IWSLT14 En-De, T = 64.
    german = texts(tables("de")[0])
    assert german[""] == ["teacher", "T = 1", "T = 2", "T = 3", "T = 64"]
    assert german["α = 0"] == ["26.5", "24.9", "23.1", "22.0", "6.6"]
    assert german["difference"][0] == "+0.3"
    assert list(german) == ["", "α = 0", "α = 0.1", "difference"], "of other texts: nothing is subtracted"


def test_sample_translations_are_evenly_spaced_and_side_by_side(files: StudyFiles) -> None:
    found = texts(translations_table(files))
    rows = [0, 7, 14, 21, 28, 35, 42, 49]
    assert list(found) == ["source", "reference", "α = 0.1, T = 1", "α = 0.1, T = 64"]
    assert found["source"] == [SOURCES[i] for i in rows]
    assert found["reference"] == [REFERENCES[i] for i in rows]
    assert found["α = 0.1, T = 1"] == [f"Datei {i} [0.1 1 0]" for i in rows]
    assert found["α = 0.1, T = 64"] == [f"Datei {i} [0.1 64 0]" for i in rows]
    caption = translations_table(files).caption  # type: ignore[union-attr]
    assert caption.startswith("8 of 50 sentences of the test split, evenly spaced, not chosen")
    assert "(seed 0)" in caption


def test_where_the_highest_temperature_is_recommended_the_worst_setting_stands_beside_it(tmp_path: Path) -> None:
    folder = write_translation_study(tmp_path / "s", Variant(seeds=2), splits=("val",))
    path = folder / "analysis" / "advice.json"
    advice = json.loads(path.read_text(encoding="utf-8"))
    advice["recommendation"] |= {"label_smoothing": 0.1, "temperature": 64}
    path.write_text(json.dumps(advice), encoding="utf-8")
    # It is itself the worst, so that the worst of the others does.
    expected = ["source", "reference", "α = 0.1, T = 64", "α = 0.1, T = 3"]
    assert list(texts(translations_table(read_study(folder)))) == expected
    cells = pd.read_csv(folder / "results.csv")
    cells.loc[(cells["label_smoothing"] == 0) & (cells["temperature"] == 2), "val/bleu"] = 1.0
    cells.to_csv(folder / "results.csv", index=False)
    table = translations_table(read_study(folder))
    assert list(texts(table)) == ["source", "reference", "α = 0.1, T = 64", "α = 0, T = 2"]
    assert table is not None
    assert "of the validation split" in table.caption  # test is unread


def test_few_sentences_are_all_shown_and_empty_translations_are_a_dash(tmp_path: Path) -> None:
    folder = write_translation_study(tmp_path / "s", Variant(seeds=1), sources=SOURCES[:3])
    write_translations(folder / "students" / WORST, {"test": ["", "b", "x" * 400]}, SOURCES[:3])
    found = texts(translations_table(read_study(folder)))
    assert found["source"] == SOURCES[:3]
    assert found["α = 0.1, T = 64"][:2] == ["–", "b"]
    assert len(found["α = 0.1, T = 64"][2]) == LONGEST


def test_one_student_stands_alone_where_the_other_has_no_translations(tmp_path: Path) -> None:
    folder = write_translation_study(tmp_path / "s", Variant(seeds=1))
    (folder / "students" / WORST / "translations.json").unlink()
    assert list(texts(translations_table(read_study(folder)))) == ["source", "reference", "α = 0.1, T = 1"]
    write_translations(folder / "students" / WORST, {"test": ["x"] * 50}, SOURCES[::-1])  # of other sentences
    assert list(texts(translations_table(read_study(folder)))) == ["source", "reference", "α = 0.1, T = 1"]


def test_studies_of_images_and_those_without_advice_or_translations_have_no_such_section(
    effect_study: Path, tmp_path: Path
) -> None:
    assert "translations" not in {table.key for table in make_tables(read_study(effect_study))}
    assert "Sample translations" not in (effect_study / "report.html").read_text(encoding="utf-8")
    folder = write_translation_study(tmp_path / "a", Variant(seeds=1, skip=("analysis/advice.json",)))
    assert translations_table(read_study(folder)) is None
    assert translations_table(read_study(write_translation_study(tmp_path / "b", Variant(seeds=1), splits=()))) is None


def test_hostile_translations_are_only_text(tmp_path: Path) -> None:
    folder = write_translation_study(tmp_path / "s", Variant(seeds=1), sources=[HOSTILE] * 4)
    write_translations(folder / "students" / WORST, {"test": [HOSTILE] * 4}, [HOSTILE] * 4)
    build_report(folder)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "<script>alert(1)" not in page
    assert "&lt;/td&gt;&lt;script&gt;alert(1)&lt;/script&gt;\\u202e{{7*7}}\\x1b[2J\\n\\u2028=1+1" in page
    for file in ("translations.csv", "translations.tex"):
        written = (folder / "tables" / file).read_text(encoding="utf-8")
        assert not re.search("[\u202e\x1b\u2028]", written)
    formula = write_translation_study(tmp_path / "f", Variant(seeds=1), sources=["=1+1", "+2", "@x"])
    table = translations_table(read_study(formula))
    assert table is not None
    assert list(pd.read_csv(io.StringIO(table.csv()))["source"]) == ["'=1+1", "+2", "'@x"]


def test_names_of_cells_lead_nowhere_else(tmp_path: Path) -> None:
    folder = write_translation_study(tmp_path / "s", Variant(seeds=1))
    write_translations(tmp_path / "elsewhere", {"test": ["secret"] * 50})
    for name in ("../../elsewhere", str(tmp_path / "elsewhere"), ".."):
        cells = pd.read_csv(folder / "results.csv")
        chosen = (cells["label_smoothing"] == 0.1) & (cells["temperature"] == 1)
        cells.loc[chosen, "cell"] = name
        cells.to_csv(folder / "results.csv", index=False)
        assert translations_table(read_study(folder)) is None


def test_a_damaged_file_of_translations_stops_the_report_with_its_name(tmp_path: Path) -> None:
    folder = write_translation_study(tmp_path / "s", Variant(seeds=1))
    (folder / "students" / WORST / "translations.json").write_text("[", encoding="utf-8")
    with pytest.raises(StudyError, match=rf"{WORST}/translations\.json is not readable as JSON"):
        build_report(folder)
    assert not (folder / "report.html").exists()


def test_how_it_was_run_has_the_signature_of_bleu_and_the_notes_on_the_data(tmp_path: Path) -> None:
    folder = write_translation_study(tmp_path / "s", Variant(seeds=1))
    path = folder / "environment.json"
    notes = ["validation: the source's own split", "test: 29 of 50 sentences (58 %) are new"]
    environment = json.loads(path.read_text(encoding="utf-8")) | {"notes": notes}
    path.write_text(json.dumps(environment), encoding="utf-8")
    cells = pd.read_csv(folder / "results.csv").assign(bleu_signature="nrefs:1|tok:13a")
    cells.to_csv(folder / "results.csv", index=False)
    run = how_it_was_run(read_study(folder))
    assert [value for word, value in run if word == "notes on the data"] == notes
    assert [value for word, value in run if word == "BLEU"] == ["nrefs:1|tok:13a"]
    assert not {"validation", "notes"} & {word for word, _ in run}
    assert dict(run)["selected epoch"] == "best, by token accuracy"
    path.write_text(json.dumps(environment | {"notes": "not a list"}), encoding="utf-8")
    assert "notes on the data" not in dict(how_it_was_run(read_study(folder)))
