from __future__ import annotations

from pathlib import Path

import pytest

from tests.fake_study.folder import Variant, write_study
from tosmooth.report.figures.accuracy import accuracy_figure, paired_change
from tosmooth.report.figures.figure import Figure
from tosmooth.report.reading import StudyFiles, read_study

MAIN = ("hinton", "resnet8")


def _figure(files: StudyFiles) -> Figure:
    figure = accuracy_figure(files, MAIN, main=True)
    assert figure is not None
    return figure


def _read(folder: Path, variant: Variant) -> StudyFiles:
    return read_study(write_study(folder, variant))


def test_title_states_the_fall(effect_files: StudyFiles) -> None:
    # 88.0 → 84.9 and 87.1 → 86.7; the seeds' deviations differ by 0.3 of themselves, so both intervals leave out zero.
    assert _figure(effect_files).finding == (
        "Accuracy falls by 3.10 points from T = 1 to T = 64 for α = 0.1, and falls by 0.40 for α = 0"
    )


def test_title_says_when_nothing_clear_happens(tmp_path: Path) -> None:
    title = _figure(_read(tmp_path / "s", Variant(effect=False))).finding
    assert title.startswith("No clear change in accuracy from T = 1 to T = 64")


def test_title_marks_a_single_seed(tmp_path: Path) -> None:
    figure = _figure(_read(tmp_path / "s", Variant(seeds=1)))
    assert figure.finding.endswith("(1 seed)")
    assert "no interval can be given" in figure.caption


def test_title_of_a_single_temperature_claims_no_change(tmp_path: Path) -> None:
    title = _figure(_read(tmp_path / "s", Variant(temperatures=(1,)))).finding
    assert title == "Accuracy at T = 1: 87.1 % for α = 0 and 88.0 % for α = 0.1"


def test_title_without_the_cells_it_would_need(tmp_path: Path) -> None:
    failed = tuple(f"hinton-a{a:g}-T64-resnet8-s0" for a in (0, 0.1))
    title = _figure(_read(tmp_path / "s", Variant(seeds=1, failed=failed))).finding
    assert "no student was finished at both T = 1 and T = 64" in title


def test_change_is_paired_by_seed(effect_files: StudyFiles) -> None:
    change = paired_change(effect_files.cells, "test/top1", 0.1, 1.0, 64.0)
    # Differences: −3.1 + 0.3 · (−0.2, 0, 0.2, −0.1, 0.1, 0); s = 0.3 · 0.141421, half width 2.570582 · s / √6
    assert change.n == 6
    assert change.mean == pytest.approx(-3.1)
    assert change.high - change.mean == pytest.approx(0.044524, abs=1e-5)


def test_a_seed_that_failed_at_one_end_is_not_paired(tmp_path: Path) -> None:
    files = _read(tmp_path / "s", Variant(seeds=3, failed=("hinton-a0.1-T64-resnet8-s2",)))
    assert paired_change(files.done, "test/top1", 0.1, 1.0, 64.0).n == 2


def test_alternative_text_holds_the_numbers(effect_files: StudyFiles) -> None:
    assert "α = 0.1: T = 1 88.0 ± 0.1 %" in _figure(effect_files).alt
