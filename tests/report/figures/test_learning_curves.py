from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.fake_study.folder import Variant, write_study
from tosmooth.report.figures.learning_curves import learning_curves_figure
from tosmooth.report.reading import StudyFiles, read_study


def test_the_recommended_setting_and_its_rival(effect_files: StudyFiles) -> None:
    figure = learning_curves_figure(effect_files)
    assert figure is not None
    assert figure.finding == "The last of 3 epochs changed the recommended setting by +2.0 points on validation"
    values = [row for layer in figure.screen_spec()["layer"] for row in layer["data"]["values"] if "shown" in row]
    lines = {row["series"] for row in values}
    assert lines == {"α = 0.1, T = 1", "α = 0, T = 2"}
    ends = {row["series"]: row["mean"] for row in values if row["epoch"] == 3}
    done = effect_files.done.groupby(["label_smoothing", "temperature"])["val/top1"].mean()
    assert ends["α = 0.1, T = 1"] == pytest.approx(done[0.1, 1])
    assert ends["α = 0, T = 2"] == pytest.approx(done[0.0, 2])
    assert "α = 0.1, T = 1: 6 students" in figure.caption


def test_students_without_a_teacher_have_a_line(effect_files: StudyFiles) -> None:
    rows = effect_files.cells[effect_files.cells["temperature"] == 3].iloc[:2]
    controls = rows.assign(objective="cross_entropy", label_smoothing=0.0, temperature=None)
    figure = learning_curves_figure(replace(effect_files, controls=controls))
    assert figure is not None
    assert "without a teacher: 2 students" in figure.caption
    assert figure.paper_spec({}, preview=False)["layer"][0]["mark"]["strokeDash"] == [4, 3]


def test_files_that_are_missing_or_damaged_are_left_out(tmp_path: Path) -> None:
    study = write_study(tmp_path / "s", Variant(seeds=2, temperatures=(1, 64), students=True))
    files = [study / "students" / f"hinton-a0.1-T1-resnet8-s{seed}" / "metrics.jsonl" for seed in (0, 1)]
    files[0].write_text("{}", encoding="utf-8")
    figure = learning_curves_figure(read_study(study))
    assert figure is not None
    assert "α = 0.1, T = 1: 1 student" in figure.caption
    files[1].unlink()
    assert learning_curves_figure(read_study(study)) is None


def test_without_advice_or_validation_there_is_none(tmp_path: Path, effect_files: StudyFiles) -> None:
    assert learning_curves_figure(replace(effect_files, advice={})) is None
    assert learning_curves_figure(read_study(write_study(tmp_path / "s", Variant(seeds=1)))) is None
    blind = effect_files.cells.assign(**{"val/top1": float("nan")})
    assert learning_curves_figure(replace(effect_files, cells=blind)) is None
