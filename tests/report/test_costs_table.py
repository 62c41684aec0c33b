"""What smoothing costs beside accuracy: rows by setting, columns as known, and studies that do not say."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from tests.fake_study.folder import SPREAD, Variant, write_study
from tosmooth.analysis.inference import t_interval
from tosmooth.folder.columns import COSTS
from tosmooth.folder.results import StudyResults
from tosmooth.report.build import build_report
from tosmooth.report.costs_table import costs_table
from tosmooth.report.reading import StudyFiles, read_study
from tosmooth.report.tables import Table


def shown(table: Table | None) -> dict[str, list[str]]:
    assert table is not None
    return {column.title: list(column.texts) for column in table.columns}


def without(folder: Path, *columns: str) -> StudyFiles:
    for name in ("results.csv", "teachers.csv"):
        table = pd.read_csv(folder / name, keep_default_na=False)
        table.drop(columns=[*columns], errors="ignore").to_csv(folder / name, index=False)
    return read_study(folder)


def test_a_row_by_setting_with_its_interval_and_the_teachers_first(effect_files: StudyFiles):
    table = costs_table(effect_files)
    texts = shown(table)
    assert texts["model"] == ["teacher"] * 2 + ["students"] * 8
    assert texts["α"] == ["0", "0.1"] + ["0"] * 4 + ["0.1"] * 4
    assert texts["T"] == ["–", "–"] + ["1", "2", "3", "64"] * 2
    assert texts["ECE, %"][:3] == ["3.0", "5.0", "2.0 ± 0.0"]
    assert texts["AURC, × 100"][-1] == "4.0 ± 0.0"
    assert texts["agreement, %"][:3] == ["–", "–", "92.0 ± 0.0"]
    assert table is not None
    expected = t_interval([100 * (0.01 + own / 1000) for own in SPREAD])
    rows = table.data[(table.data["quantity"] == "cal/ece_fitted") & (table.data["model"] == "students")]
    assert len(rows) == 8
    for name in ("mean", "low", "high", "n"):
        assert rows[name].tolist() == pytest.approx([getattr(expected, name)] * 8)
    assert "fewer than 20 test images" in table.caption


@pytest.mark.slow
def test_it_is_folded_in_the_page_with_no_verdict(tmp_path: Path):
    page = build_report(write_study(tmp_path / "s")).read_text(encoding="utf-8")
    assert "<summary>What smoothing costs beside accuracy</summary>" in page
    assert "nothing is concluded from them here" in page
    assert (tmp_path / "s" / "tables" / "costs.csv").is_file()


@pytest.mark.slow
def test_a_study_of_an_earlier_version_has_a_report_without_it(tmp_path: Path):
    folder = write_study(tmp_path / "s")
    assert costs_table(without(folder, *COSTS)) is None
    assert "What smoothing costs" not in build_report(folder).read_text(encoding="utf-8")


def test_without_a_validation_split_no_temperature_was_fitted(tmp_path: Path):
    texts = shown(costs_table(without(write_study(tmp_path / "s"), "cal/temperature", "cal/ece_fitted")))
    assert "ECE, %" in texts
    assert "ECE after one T, %" not in texts


def test_one_model_without_a_figure_has_a_dash_and_the_others_their_own(tmp_path: Path):
    folder = write_study(tmp_path / "s", Variant(seeds=1))
    cells = pd.read_csv(folder / "results.csv")
    cells.loc[0, "cal/ece_fitted"] = math.nan
    cells.to_csv(folder / "results.csv", index=False)
    texts = shown(costs_table(read_study(folder)))["ECE after one T, %"]
    assert texts[2] == "–"
    assert "–" not in texts[3:]


def test_a_real_study_has_every_column(tiny_study: StudyResults):
    texts = shown(costs_table(read_study(tiny_study.path)))
    assert list(texts) == [
        "model", "α", "T", "ECE, %", "ECE after one T, %", "AURC, × 100", "macro F1, %", "worst class, %",
        "agreement, %",
    ]  # fmt: skip
    assert len(texts["model"]) == 2 + 4
