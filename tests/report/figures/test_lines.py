from __future__ import annotations

import math
from typing import Any

import pytest

from tosmooth.analysis.inference import Interval
from tosmooth.report.figures.figure import Size
from tosmooth.report.figures.lines import Axis, Level, Series, temperature_chart

SCREEN = Size(None, 1.0, paper=False)


def _spec(series: list[Series], temperatures: list[float], alphas: list[float]) -> dict[str, Any]:
    spec: dict[str, Any] = temperature_chart(series, temperatures, alphas, Axis("accuracy", 1), SCREEN).to_dict()
    return spec


def _rows(spec: dict[str, Any], mark: str) -> list[dict[str, Any]]:
    layer = next(x for x in spec["layer"] if (x["mark"]["type"] if isinstance(x["mark"], dict) else x["mark"]) == mark)
    data = layer.get("data") or spec["data"]
    rows: list[dict[str, Any]] = data["values"] if "values" in data else spec["datasets"][data["name"]]
    return rows


def _line(alpha: float, means: dict[float, float], half: float = 0.1) -> Series:
    points = {t: Interval(m, m - half, m + half, 3) for t, m in means.items()}
    return Series(f"α = {alpha:g}", alpha, points, {t: [m] for t, m in means.items()})


def test_temperatures_have_evenly_spaced_positions() -> None:
    spec = _spec([_line(0, {1: 80, 64: 70})], [1, 64], [0])
    assert [(row["T"], row["x"]) for row in _rows(spec, "line")] == [("1", 0.0), ("64", 1.0)]
    axis = next(x["encoding"]["x"]["axis"] for x in spec["layer"] if "x" in x.get("encoding", {}))
    assert axis["labelExpr"] == '["1", "64"][datum.value]'


def test_a_missing_temperature_leaves_its_position_empty() -> None:
    spec = _spec([_line(0, {1: 80, 3: 70})], [1, 2, 3], [0])
    assert [row["x"] for row in _rows(spec, "line")] == [0.0, 2.0]


def test_labels_of_lines_that_end_together_are_moved_apart() -> None:
    spec = _spec([_line(0, {1: 80, 2: 70}), _line(0.1, {1: 60, 2: 70})], [1, 2], [0, 0.1])
    labels = _rows(spec, "text")
    low, high = spec["layer"][0]["encoding"]["y"]["scale"]["domain"]
    pixels = abs(labels[1]["mean"] - labels[0]["mean"]) / (high - low) * 300
    assert pixels >= 14.9
    assert labels[0]["x"] == labels[1]["x"]


def test_names_of_levels_lie_on_no_other_level_and_no_other_name() -> None:
    levels = [Level("without a teacher", 80.0), Level("without a teacher, smoothed", 80.3)]
    chart = temperature_chart([_line(0, {1: 90, 2: 70})], [1, 2], [0], Axis("accuracy", 1), SCREEN, levels)
    spec = chart.to_dict()
    names = [layer for layer in spec["layer"] if layer["mark"].get("style") == "level-label"]
    rows = [spec["datasets"][layer["data"]["name"]][0] for layer in names]
    sides = [layer["mark"]["baseline"] for layer in names]
    assert [row["label"] for row in rows] == [level.label for level in levels]
    assert sides == ["top", "bottom"]  # the lower one below, the upper one above


def test_one_seed_has_no_bar_and_no_dots() -> None:
    alone = Series("α = 0", 0.0, {1: Interval(80, math.nan, math.nan, 1)}, {1: [80.0]})
    spec = _spec([alone], [1], [0])
    assert [row["low"] for row in _rows(spec, "line")] == [None]
    assert not any(layer["mark"].get("type") == "circle" for layer in spec["layer"] if isinstance(layer["mark"], dict))


def test_bars_stop_at_what_can_be_reached() -> None:
    wide = Series("α = 0", 0.0, {1: Interval(90, 60, 120, 2)}, {1: [88.0, 92.0]})
    spec: dict[str, Any] = temperature_chart(
        [wide], [1], [0], Axis("accuracy", 1, bounds=(0, 100)), SCREEN
    ).to_dict()  # fmt: skip
    row = _rows(spec, "line")[0]
    assert (row["low"], row["high"], row["range"]) == (60, 100, "60.0 to 120.0")


@pytest.mark.parametrize("value", [0.0, 50.0])
def test_a_flat_line_still_has_a_vertical_range(value: float) -> None:
    flat = Series("α = 0", 0.0, {1: Interval(value, math.nan, math.nan, 1)}, {})
    low, high = _spec([flat], [1], [0])["layer"][0]["encoding"]["y"]["scale"]["domain"]
    assert low < value < high
