from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fake_study.folder import Variant, write_study
from tosmooth.report.figures.projection import projection_figure, projection_finding
from tosmooth.report.reading import StudyFiles, read_study


def _spec(files: StudyFiles) -> dict[str, Any]:
    figure = projection_figure(files)
    assert figure is not None
    return figure.screen_spec()


def _points(spec: dict[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = spec["data"]["values"]
    return rows


def test_the_papers_layout(effect_files: StudyFiles) -> None:
    facet = _spec(effect_files)["facet"]
    assert facet["row"]["sort"] == ["teacher", "T = 1", "T = 2", "T = 3", "T = 64"]
    assert facet["column"]["sort"] == [
        "α = 0, training", "α = 0, validation", "α = 0.1, training", "α = 0.1, validation",
    ]  # fmt: skip


def test_title_states_how_the_gap_changes(effect_files: StudyFiles) -> None:
    # Gap 1.5 at T = 1, 1.5 − 0.6 = 0.9 at T = 64; the third class at √(0.75² + 9) = 3.0923 and √(0.45² + 9) = 3.0336.
    assert projection_finding(effect_files) == (
        "The gap between “T-shirt” and “Pullover” shrinks from 0.49 to 0.30 of their distance to “Trouser” "
        "from T = 1 to T = 64 (α = 0.1, training)"
    )


def test_title_says_when_the_gap_stays(tmp_path: Path) -> None:
    files = read_study(write_study(tmp_path / "s", Variant(seeds=1, effect=False)))
    assert "stays at 0.49" in projection_finding(files)


def test_a_model_is_scaled_alike_in_x_and_y_and_on_both_splits(effect_files: StudyFiles) -> None:
    rows = [r for r in _points(_spec(effect_files)) if r["row"] == "teacher" and r["kind"] == "centroid"]
    assert max(abs(r[axis]) for r in _points(_spec(effect_files)) for axis in "xy") == pytest.approx(1.0, abs=0.002)
    at = {(r["column"], r["class"]): (r["x"], r["y"]) for r in rows}
    assert at["α = 0, training", "Trouser"] == at["α = 0, validation", "Trouser"]
    one, two, other = (at["α = 0, training", name] for name in ("T-shirt", "Pullover", "Trouser"))
    # In the file: 1.5 apart in x, and the third class 3 above: the ratio must survive the scaling.
    assert (other[1] - one[1]) / (two[0] - one[0]) == pytest.approx(2.0, abs=0.01)


def test_a_unit_is_as_long_in_x_as_in_y(effect_files: StudyFiles) -> None:
    panel = _spec(effect_files)["spec"]
    encoding = panel["layer"][0]["encoding"]
    (x0, x1), (y0, y1) = (encoding[axis]["scale"]["domain"] for axis in "xy")
    assert panel["width"] / (x1 - x0) == pytest.approx(panel["height"] / (y1 - y0), rel=0.01)


def test_without_validation_there_are_only_training_panels(tmp_path: Path) -> None:
    figure = projection_figure(read_study(write_study(tmp_path / "s", Variant(seeds=1, validation=False))))
    assert figure is not None
    assert "no validation split" in figure.caption
    assert figure.screen_spec()["facet"]["column"]["sort"] == ["α = 0, training", "α = 0.1, training"]


def test_no_figure_without_points(tmp_path: Path) -> None:
    files = read_study(write_study(tmp_path / "s", Variant(seeds=1, skip=("analysis/projection.csv",))))
    assert projection_figure(files) is None
