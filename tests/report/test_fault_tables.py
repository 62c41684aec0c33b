from __future__ import annotations

from pathlib import Path

from tests.report.study_files import Variant, write_study
from tosmooth.report.build import build_report
from tosmooth.report.fault_tables import MOST_IMAGES, failures_table, unreadable_table
from tosmooth.report.reading import StudyFiles, read_study


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
    page = build_report(study).read_text(encoding="utf-8")
    assert page.count("the loss became infinite") == 2


def test_a_study_of_an_older_version_has_no_reasons(tmp_path: Path) -> None:
    study = write_study(tmp_path / "s", Variant(seeds=1, failed=("hinton-a0.1-T64-resnet8-s0",)))
    files = read_study(study)
    files.cells.drop(columns="failure", inplace=True)
    table = failures_table(files)
    assert table is not None
    assert list(table.columns[-1].texts) == ["–"]


def test_a_long_list_of_images_is_cut_on_the_page_but_not_in_its_file(tmp_path: Path) -> None:
    images = tuple(f"train/{n}.png: <cut> short" for n in range(MOST_IMAGES + 5))
    study = write_study(tmp_path / "s", Variant(seeds=1, unreadable=images))
    page = build_report(study).read_text(encoding="utf-8")
    assert "the first 50 of 55" in page
    assert "train/49.png: &lt;cut&gt; short" in page
    assert "train/50.png" not in page
    assert len((study / "tables" / "unreadable.csv").read_text(encoding="utf-8").splitlines()) == 56
