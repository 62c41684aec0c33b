from __future__ import annotations

from pathlib import Path

import pandas as pd

from tests.fake_study.folder import Variant, write_study
from tosmooth.report.figures.calibration import error_figure, reliability_figure
from tosmooth.report.reading import StudyFiles, read_study


def test_title_names_the_best_and_worst_calibrated(effect_files: StudyFiles) -> None:
    figure = error_figure(effect_files)
    assert figure is not None
    assert figure.finding == (
        "Calibration error is lowest for α = 0 at T = 1 (2.0 %) and highest for α = 0.1 at T = 64 (10.0 %)"
    )


def test_validation_error_where_test_was_not_read(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "s", Variant(seeds=1))
    read_study(folder).cells.drop(columns="cal/ece").to_csv(folder / "results.csv", index=False)
    figure = error_figure(read_study(folder))
    assert figure is not None
    assert "on the validation split" in figure.caption


def test_reliability_pools_seeds_by_their_counts(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "s", Variant(seeds=2, alphas=(0.0,), temperatures=(1, 2)))
    rows = [
        {"role": "student", "name": f"hinton-a0-T2-resnet8-s{seed}", "label_smoothing": 0.0, "temperature": 2.0,
         "seed": seed, "split": "test", "bin": 14, "confidence": 0.95, "accuracy": accuracy, "count": count}
        for seed, accuracy, count in ((0, 0.9, 300), (1, 0.7, 100))
    ]  # fmt: skip
    pd.DataFrame(rows).to_csv(folder / "analysis/calibration.csv", index=False)
    figure = reliability_figure(read_study(folder))
    assert figure is not None
    bins = [row for row in figure.screen_spec()["data"]["values"] if row["kind"] == "bin"]
    assert [(row["accuracy"], row["share"]) for row in bins] == [(0.85, 1.0)]  # (0.9 · 300 + 0.7 · 100) / 400
    assert figure.finding == "Students at T = 2 are 10.0 points over-confident (α = 0)"


def test_empty_bins_are_not_points(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "s", Variant(seeds=1))
    path = folder / "analysis/calibration.csv"
    table = pd.read_csv(path)
    table.loc[table["bin"] == 5, ["confidence", "accuracy", "count"]] = [None, None, 0]
    table.to_csv(path, index=False)
    figure = reliability_figure(read_study(folder))
    assert figure is not None
    bins = [row for row in figure.screen_spec()["data"]["values"] if row["kind"] == "bin"]
    assert len(bins) == 10 * 9  # ten models, nine bins left


def test_no_figures_without_numbers(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "s", Variant(seeds=1, skip=("analysis/calibration.csv",)))
    read_study(folder).cells.drop(columns=["cal/ece", "cal/ece_val"]).to_csv(folder / "results.csv", index=False)
    files = read_study(folder)
    assert error_figure(files) is None
    assert reliability_figure(files) is None
