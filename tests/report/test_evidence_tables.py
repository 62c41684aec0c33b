from __future__ import annotations

import json
import re
from pathlib import Path

from tests.fake_study.folder import Variant, write_study
from tosmooth.report.evidence_tables import (
    MOST_NAMES,
    class_table,
    comparisons_table,
    diffusion_table,
    sensitivity_table,
    similarity_table,
)
from tosmooth.report.reading import StudyFiles, read_study
from tosmooth.report.tables import Table


def _texts(table: Table | None) -> dict[str, list[str]]:
    assert table is not None
    return {column.title: list(column.texts) for column in table.columns}


def test_comparisons_run_from_the_recommended_setting_down(effect_files: StudyFiles) -> None:
    texts = _texts(comparisons_table(effect_files))
    assert texts["relation"][0] == "best, recommended"
    assert texts["difference (points)"] == ["–", "−0.70", "−0.80", "−0.90", "−1.00", "−1.30", "−1.60", "−3.10"]
    assert texts["95 % interval"][1] == "−0.72 to −0.68"  # seeds lie off alike in all settings, nearly
    assert texts["relation"][1:] == ["worse"] * 7


def test_worse_figures_are_higher_where_less_is_better(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "s")
    path = folder / "analysis" / "advice.json"
    advice = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(advice | {"metric": "val/nll", "lower_is_better": True}), encoding="utf-8")
    config = folder / "study.yaml"
    text = config.read_text(encoding="utf-8")
    config.write_text(f"task: not_installed\n{re.sub('(?m)^task: .*$', '', text)}", encoding="utf-8")
    texts = _texts(comparisons_table(read_study(folder)))
    assert texts["relation"][0] == "best, recommended"
    assert texts["difference (points)"][:2] == ["–", "+0.70"]
    assert texts["95 % interval"][1] == "0.68 to 0.72"


def test_no_comparisons_without_advice(tmp_path: Path) -> None:
    files = read_study(write_study(tmp_path / "s", Variant(seeds=1, skip=("analysis/advice.json",))))
    assert comparisons_table(files) is None


def test_diffusion_shows_the_contrast_where_there_is_an_unsmoothed_teacher(
    effect_files: StudyFiles, tmp_path: Path
) -> None:
    texts = _texts(diffusion_table(effect_files))
    assert texts["T"] == ["2", "3", "64", "2", "3", "64"]
    # α = 0.1, T = 64: η_S1 = 0.02 · 6 = 0.12, η_S2 = −0.024; against 0.006 and −0.024 without smoothing: 0.114
    assert texts["η similar"][-1] == "+0.120 ± 0.003"
    assert texts["the same, less α = 0"][-1] == "+0.114 ± 0.004"
    assert texts["the same, less α = 0"][0] == "–"
    assert texts["p"][-1] == "0.031"
    without = read_study(write_study(tmp_path / "s", Variant(seeds=2, alphas=(0.1,))))
    assert "the same, less α = 0" not in _texts(diffusion_table(without))


def test_sensitivity_lists_every_form_and_names_the_declared_one(effect_files: StudyFiles, tmp_path: Path) -> None:
    texts = _texts(sensitivity_table(effect_files))
    assert len(texts["normalised by"]) == 12  # 3 normalisations × debiased or not × 2 splits
    assert texts["normalised by"][0] == "mean distance (declared)"
    one = read_study(write_study(tmp_path / "s", Variant(seeds=1, validation=False)))
    assert set(_texts(sensitivity_table(one))["features"]) == {"training"}


def test_classes_with_the_classes_they_resemble(effect_files: StudyFiles) -> None:
    texts = _texts(class_table(effect_files))
    assert texts["class"][0] == "T-shirt"
    assert texts["similar classes"][0] == "Trouser"
    assert texts["η similar, α = 0.1"][0] == "0.192"  # 0.12 · 1.6


def test_each_class_with_both_sets_and_the_other_source(effect_files: StudyFiles) -> None:
    table = similarity_table(effect_files)
    assert table is not None
    classes = effect_files.similarity["classes"]
    titles = ["class", "similar", "dissimilar", "similar by the super-classes of the data set"]
    assert [column.title for column in table.columns] == titles
    assert [column.texts[0] for column in table.columns] == [classes[0], classes[1], classes[2], "–"]
    assert "50 % are also similar by the super-classes of the data set; chance would give 25 %" in table.caption


def test_long_sets_are_cut_in_the_page_and_whole_in_the_file(tmp_path: Path) -> None:
    names = tuple(f"class {number}" for number in range(20))
    files = read_study(write_study(tmp_path / "study", Variant(classes=names)))
    files.similarity["dissimilar"]["0"] = list(range(1, 20))
    table = similarity_table(files)
    assert table is not None
    assert table.columns[2].texts[0].endswith(f"class {MOST_NAMES} and 11 more")
    assert "class 19" in table.csv().splitlines()[1]


def test_an_older_study_has_no_such_table(effect_files: StudyFiles, tmp_path: Path) -> None:
    files = read_study(write_study(tmp_path / "study", Variant(skip=("analysis/similarity.json",))))
    assert similarity_table(files) is None
