from __future__ import annotations

from pathlib import Path

import pandas as pd

from tests.fake_study.folder import HOSTILE, Variant, write_study
from tests.report.pages import page_of
from tests.report.test_build import Reader, read_page
from tosmooth.report.build import build_report
from tosmooth.report.reading import StudyFiles, read_study
from tosmooth.report.smoothing_view_tables import calibration_table, objectives_table, sentences, views_table
from tosmooth.report.tables import Table

VIEWS = ("analysis/views.csv", "analysis/views.json", "analysis/inheritance.csv")
OBJECTIVES = pd.DataFrame(
    {"student": "resnet8", "objective": ["dkd", HOSTILE], "label_smoothing": 0.1, "temperature": [2.0, 64.0],
     "reference": "hinton", "n": 6,
     "reference_eta": 0.12, "eta": [0.01, 0.11], "eta_low": [0.0, 0.1], "eta_high": [0.02, 0.12],
     "change": [-0.11, -0.01], "change_low": [-0.12, -0.02], "change_high": [-0.1, 0.0], "p": 0.01,
     "p_holm": [0.01, 0.2], "top1_change": 0.5, "top1_low": 0.1, "top1_high": 0.9, "top1_p": 0.01, "top1_p_holm": 0.02,
     "verdict": ["removes", "does not"]}
)  # fmt: skip


def _texts(table: Table | None) -> dict[str, list[str]]:
    assert table is not None
    return {column.title: list(column.texts) for column in table.columns}


def test_the_teachers_stand_in_all_three_views(effect_files: StudyFiles) -> None:
    texts = _texts(views_table(effect_files))
    assert texts["α"] == ["0", "0.1"]
    assert texts["compactness"] == ["0.400", "0.200"]
    assert texts["information, similar"] == ["2.50", "1.70"]
    assert texts["stability"] == ["0.900", "0.950"]
    assert texts["γ, T = 1"] == ["0.050", "0.150"]
    assert texts["γ, T = 64"] == ["0.690", "0.790"]
    # α = 0.1, T = 64: η_S1 − η_S2 = 0.12 + 0.024, half a width of 0.003
    assert texts["students’ η similar − dissimilar, T = 64"][1] == "+0.144 ± 0.003"
    assert texts["ECE"] == ["5.0", "5.0"]
    caption = views_table(effect_files).caption  # type: ignore[union-attr]
    assert "“T-shirt” and “Pullover” (similar)" in caption
    assert "at most 5.30; 8 views of each: shifts by up to 2 pixels" in caption
    assert [head.split()[0] for head, _ in sentences(effect_files)] == ["Erased", "Stability", "Systematic"]


def test_students_calibration_stands_beside_their_teachers(effect_files: StudyFiles) -> None:
    texts = _texts(calibration_table(effect_files))
    assert texts["teacher"][-1] == "5.0"
    assert texts["students"][-1] == "5.5"
    assert texts["students, less α = 0"][0] == "–"
    assert texts["students, less α = 0"][-1] == "+2.5 ± 0.4"
    assert texts["relation"][-1] == "inherited"


def test_the_page_shows_both_sections(effect_study: Path) -> None:
    text = " ".join(read_page(effect_study).text.split())
    inherited = "Calibration is inherited: the ECE of the teacher with α = 0.1 is +2.0 points"
    for expected in ("The three views side by side", "Is calibration inherited?", inherited):
        assert expected in text
    assert "Does another objective remove the drift?" not in text


def test_several_objectives_get_a_section_and_their_names_stay_text(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "s", Variant(seeds=1, temperatures=(1, 2)))
    OBJECTIVES.to_csv(folder / "analysis/objectives.csv", index=False)
    texts = _texts(objectives_table(read_study(folder)))
    assert texts["η, hinton"] == ["0.120", "0.120"]
    assert texts["η"] == ["+0.01 ± 0.01", "+0.11 ± 0.01"]
    assert texts["change"] == ["−0.11 ± 0.01", "−0.01 ± 0.01"]
    assert texts["95 % interval"] == ["0.1 to 0.9", "0.1 to 0.9"]
    assert texts["verdict"] == ["removes", "does not"]
    build_report(folder)
    page = read_page(folder)
    assert "Does another objective remove the drift?" in page.text
    text = " ".join(page.text.split())
    assert "dkd removes systematic diffusion at T = 2 (α = 0.1)" in text
    assert f"{HOSTILE} does not remove systematic diffusion" in text
    assert len(page.scripts) == 2
    assert (folder / "tables/objectives.tex").is_file()


def test_a_study_of_an_older_version_has_no_such_sections(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "s", Variant(seeds=1, temperatures=(1, 2), skip=VIEWS))
    files = read_study(folder)
    assert (views_table(files), calibration_table(files), objectives_table(files)) == (None, None, None)
    text = Reader(page_of(folder)).text
    assert "The three views" not in text
    assert "Is calibration inherited?" not in text


def test_what_was_not_measured_leaves_no_column(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "s", Variant(seeds=1, alphas=(0.1,), temperatures=(1,)))
    views = pd.read_csv(folder / "analysis/views.csv")
    views.assign(mi_similar=None, mi_dissimilar=None, stability=None).to_csv(folder / "analysis/views.csv", index=False)
    texts = _texts(views_table(read_study(folder)))
    assert set(texts) == {"α", "compactness", "γ, T = 1", "ECE", "NLL"}
    assert "students, less α = 0" not in _texts(calibration_table(read_study(folder)))
