from __future__ import annotations

from pathlib import Path

import pytest

from tests.fake_study.folder import Variant, write_study
from tests.report.pages import page_of
from tosmooth.report.build import build_report
from tosmooth.report.reading import StudyFiles, read_study
from tosmooth.report.results_tables import (
    MOST_IMAGES,
    accuracy_table,
    cells_table,
    failures_table,
    published_tables,
    teachers_table,
    unreadable_table,
)
from tosmooth.report.tables import Table


def _texts(table: Table | None) -> dict[str, list[str]]:
    assert table is not None
    return {column.title: list(column.texts) for column in table.columns}


def test_accuracy_has_a_row_per_temperature_and_a_column_per_alpha(effect_files: StudyFiles) -> None:
    texts = _texts(accuracy_table(effect_files, ("hinton", "resnet8"), main=True))
    assert texts[""] == ["teacher", "T = 1", "T = 2", "T = 3", "T = 64"]
    # Seeds lie −0.2, 0, 0.2, −0.1, 0.1, 0 off the mean: s = 0.14142, half width 2.5706 · s / √6 = 0.148
    assert texts["α = 0"][:2] == ["90.0", "87.1 ± 0.1"]
    assert texts["α = 0.1"][:2] == ["90.5", "88.0 ± 0.1"]
    assert [text.split(" ")[0] for text in texts["difference"]] == ["+0.5", "+0.9", "−0.1", "−0.6", "−1.8"]


def test_the_papers_tables_have_the_same_shape(effect_files: StudyFiles) -> None:
    own = _texts(accuracy_table(effect_files, ("hinton", "resnet8"), main=True))
    paper = _texts(published_tables(effect_files)[0])
    assert list(paper) == list(own)
    assert paper[""] == own[""]
    assert paper["difference"] == ["+0.1", "+0.2", "−2.5", "−1.9", "−1.8"]


def test_one_seed_gives_means_without_an_interval(tmp_path: Path) -> None:
    table = accuracy_table(read_study(write_study(tmp_path / "s", Variant(seeds=1))), ("hinton", "resnet8"), main=True)
    assert table is not None
    assert "one seed" in table.caption
    assert not any("±" in text for column in table.columns for text in column.texts)


def test_no_difference_without_an_unsmoothed_teacher(tmp_path: Path) -> None:
    files = read_study(write_study(tmp_path / "s", Variant(seeds=1, alphas=(0.1, 0.2))))
    assert list(_texts(accuracy_table(files, ("hinton", "resnet8"), main=True))) == ["", "α = 0.1", "α = 0.2"]


def test_failed_cells_are_listed_and_left_out_of_the_means(tmp_path: Path) -> None:
    failed = tuple(f"hinton-a0.1-T64-resnet8-s{seed}" for seed in range(2))
    files = read_study(write_study(tmp_path / "s", Variant(seeds=2, failed=failed)))
    texts = _texts(accuracy_table(files, ("hinton", "resnet8"), main=True))
    assert texts["α = 0.1"][-1] == "–"
    assert texts["difference"][-1] == "–"
    grid = _texts(cells_table(files))
    assert grid["status"].count("failed") == 2
    assert grid["test top-1"].count("–") == 2


def test_grid_has_every_cell_with_sort_keys(effect_files: StudyFiles) -> None:
    table = cells_table(effect_files)
    assert table.sortable
    assert len(table.rows) == 48
    accuracy = next(column for column in table.columns if column.title == "test top-1")
    assert float(accuracy.sort_key(0)) == pytest.approx(86.9)
    ece = next(column for column in table.columns if column.title == "test ECE")
    assert ece.texts[0] == "2.0"  # percent from a fraction


def test_columns_that_nobody_measured_are_not_shown(tmp_path: Path) -> None:
    files = read_study(write_study(tmp_path / "s", Variant(seeds=1, validation=False)))
    assert "val top-1" not in _texts(cells_table(files))
    assert teachers_table(files) is not None


def test_without_faults_there_are_no_tables(effect_files: StudyFiles) -> None:
    assert failures_table(effect_files) is None
    assert unreadable_table(effect_files) is None


def test_every_failed_student_is_listed_with_its_reason(tmp_path: Path) -> None:
    failed = tuple(f"hinton-a0.1-T64-resnet8-s{seed}" for seed in range(2))
    study = write_study(tmp_path / "s", Variant(seeds=2, failed=failed))
    table = failures_table(read_study(study))
    assert table is not None
    assert {column.title: list(column.texts) for column in table.columns} == {
        "α": ["0.1", "0.1"],
        "T": ["64", "64"],
        "seed": ["0", "1"],
        "reason": ["the loss became infinite", "the loss became infinite"],
    }
    page = page_of(study)
    assert page.count("the loss became infinite") == 2


def test_a_study_of_an_older_version_has_no_reasons(tmp_path: Path) -> None:
    study = write_study(tmp_path / "s", Variant(seeds=1, failed=("hinton-a0.1-T64-resnet8-s0",)))
    files = read_study(study)
    files.cells.drop(columns="failure", inplace=True)
    table = failures_table(files)
    assert table is not None
    assert list(table.columns[-1].texts) == ["–"]


@pytest.mark.slow
def test_a_long_list_of_images_is_cut_on_the_page_but_not_in_its_file(tmp_path: Path) -> None:
    images = tuple(f"train/{n}.png: <cut> short" for n in range(MOST_IMAGES + 5))
    study = write_study(tmp_path / "s", Variant(seeds=1, unreadable=images))
    page = build_report(study).read_text(encoding="utf-8")
    assert "the first 50 of 55" in page
    assert "train/49.png: &lt;cut&gt; short" in page
    assert "train/50.png" not in page
    assert len((study / "tables" / "unreadable.csv").read_text(encoding="utf-8").splitlines()) == 56
