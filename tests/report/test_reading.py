from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.fake_study.folder import Variant, write_study
from tosmooth.errors import StudyError
from tosmooth.report.figures import make_figures
from tosmooth.report.reading import StudyFiles, read_study


def test_reads_the_grid(effect_files: StudyFiles) -> None:
    assert effect_files.alphas == [0.0, 0.1]
    assert effect_files.temperatures == [1.0, 2.0, 3.0, 64.0]
    assert effect_files.seeds == [0, 1, 2, 3, 4, 5]
    assert effect_files.settings == [("hinton", "resnet8")]
    assert effect_files.accuracy == "test/top1"
    assert not effect_files.preview


def test_the_recommended_setting_comes_first(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "s", Variant(seeds=1))
    text = (folder / "results.csv").read_text(encoding="utf-8")
    header, *rows = text.splitlines()
    other = [row.replace("hinton", "teacher_only") for row in rows]
    (folder / "results.csv").write_text("\n".join([header, *other, *rows]) + "\n", encoding="utf-8")
    assert read_study(folder).settings == [("hinton", "resnet8"), ("teacher_only", "resnet8")]


def test_class_names_stay_text(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "s", Variant(seeds=1, classes=("NA", "7", "null", "nan", "1e3")))
    assert set(read_study(folder).classes["class_name"]) == {"NA", "7", "null", "nan", "1e3"}


def test_validation_is_shown_where_test_was_not_read(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "s", Variant(seeds=1))
    frame = read_study(folder).cells.drop(columns="test/top1")
    frame.to_csv(folder / "results.csv", index=False)
    files = read_study(folder)
    assert (files.accuracy, files.split_name) == ("val/top1", "validation")


def test_the_lowest_temperature_is_the_reference_without_one(tmp_path: Path) -> None:
    files = read_study(write_study(tmp_path / "s", Variant(seeds=1, temperatures=(2, 4))))
    assert files.reference_temperature == 2.0


def test_missing_analysis_files_are_empty_not_errors(tmp_path: Path) -> None:
    skip = (
        "analysis/advice.json",
        "analysis/verdict.json",
        "analysis/projection.csv",
        "teachers.csv",
        "environment.json",
    )
    files = read_study(write_study(tmp_path / "s", Variant(seeds=1, skip=skip)))
    assert files.advice == {}
    assert files.projection.empty
    assert files.teachers.empty


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("study.yaml", "- a\n- b\n", "study.yaml: expected a mapping"),
        ("study.yaml", "a: [", "study.yaml is not readable as YAML"),
        ("analysis/advice.json", "{", "advice.json is not readable as JSON"),
        ("analysis/verdict.json", "[1]", "verdict.json: expected a JSON object, found list"),
        ("results.csv", "cell,status\na,done\n", "results.csv lacks the columns objective, label_smoothing"),
        ("results.csv", "", "results.csv lacks the columns"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: str, message: str) -> None:
    folder = write_study(tmp_path / "s", Variant(seeds=1))
    (folder / name).write_text(content, encoding="utf-8")
    with pytest.raises(StudyError, match=message):
        read_study(folder)


def test_a_folder_that_is_no_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"no study\.yaml"):
        read_study(tmp_path)
    (tmp_path / "study.yaml").write_text("name: x\n", encoding="utf-8")
    with pytest.raises(StudyError, match=r"no results\.csv yet"):
        read_study(tmp_path)


def test_eta_of_an_older_study_that_does_not_name_its_student_is_shown(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "s")
    before = {figure.key: figure.alt for figure in make_figures(read_study(folder))}
    for name in ("diffusion", "diffusion_summary", "diffusion_classes"):
        file = folder / "analysis" / f"{name}.csv"
        pd.read_csv(file).drop(columns="student").to_csv(file, index=False)
    assert {figure.key: figure.alt for figure in make_figures(read_study(folder))} == before
