from __future__ import annotations

from pathlib import Path

import pandas as pd

from tests.fake_study.folder import Variant, write_study
from tosmooth.report.figures.diffusion import declared_summary, diffusion_figure, diffusion_finding
from tosmooth.report.reading import StudyFiles, read_study


def _read(folder: Path, variant: Variant) -> StudyFiles:
    return read_study(write_study(folder, variant))


def test_title_states_the_drift_with_its_comparison(effect_files: StudyFiles) -> None:
    assert diffusion_finding(effect_files) == (
        "At T = 64, students of the α = 0.1 teacher drift towards similar classes: η = 0.120, against 0.006 "
        "without smoothing"
    )


def test_title_says_that_no_drift_is_shown(tmp_path: Path) -> None:
    title = diffusion_finding(_read(tmp_path / "s", Variant(effect=False)))
    assert title == (
        "At T = 64, no drift towards similar classes due to smoothing is shown "
        "(contrast with the unsmoothed teacher 0.000, 95 % interval −0.004 to 0.004)"
    )


def test_title_claims_nothing_from_one_seed(tmp_path: Path) -> None:
    title = diffusion_finding(_read(tmp_path / "s", Variant(seeds=1)))
    assert title.startswith("One seed: at T = 64, η towards similar classes is 0.12")


def test_title_without_an_unsmoothed_teacher_makes_no_comparison(tmp_path: Path) -> None:
    title = diffusion_finding(_read(tmp_path / "s", Variant(alphas=(0.1,))))
    assert title == "At T = 64, students of the α = 0.1 teacher drift towards similar classes: η = 0.120"


def test_title_of_the_opposite(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "s")
    path = folder / "analysis/diffusion_summary.csv"
    table = pd.read_csv(path)
    contrast = table["quantity"] == "contrast"
    table.loc[contrast, ["mean", "low", "high"]] = [-0.05, -0.06, -0.04]
    table.to_csv(path, index=False)
    assert "drift less towards similar classes, not more" in diffusion_finding(read_study(folder))


def test_a_contrast_is_no_drift_where_similar_classes_stay_away(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "s")
    path = folder / "analysis/diffusion_summary.csv"
    table = pd.read_csv(path)
    similar = table["quantity"] == "eta_s1"
    table.loc[similar, ["mean", "low", "high"]] = [-0.02, -0.03, -0.01]
    table.to_csv(path, index=False)
    assert "do not clearly move towards similar ones" in diffusion_finding(read_study(folder))


def test_no_smoothed_teacher_means_nothing_to_judge(tmp_path: Path) -> None:
    assert "no smoothed teacher" in diffusion_finding(_read(tmp_path / "s", Variant(seeds=2, alphas=(0.0,))))


def test_only_the_declared_form_is_drawn(effect_files: StudyFiles) -> None:
    rows = declared_summary(effect_files)
    assert set(rows["normalisation"]) == {"mean_distance"}
    assert not rows["debiased"].any()
    assert set(rows["split"]) == {"train"}


def test_no_figure_without_numbers(tmp_path: Path) -> None:
    skip = ("analysis/diffusion_summary.csv", "analysis/diffusion.csv")
    assert diffusion_figure(_read(tmp_path / "s", Variant(seeds=1, skip=skip))) is None
