"""A quantity against the temperature: one labelled line per series, its interval as a bar, its seeds as faint dots."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import altair as alt
import pandas as pd

from tosmooth.analysis.inference import Interval
from tosmooth.report.figures.figure import Size
from tosmooth.report.figures.level_labels import across, place, width_of
from tosmooth.report.figures.style import shapes
from tosmooth.words.numbers import alpha_label, between, fixed

LABEL_LINE = 15  # pixels that one line of an end label needs


@dataclass(frozen=True)
class Series:
    """One line of the chart: α and, where a chart has two lines per α, which of them.

    Attributes:
        label: written at the line's end.
        alpha: decides colour and shape.
        points: mean and interval over seeds, by temperature.
        seeds: single values by temperature, drawn faintly.
        dashed: the second line of an α.
    """

    label: str
    alpha: float
    points: dict[float, Interval]
    seeds: dict[float, list[float]]
    dashed: bool = False


@dataclass(frozen=True)
class Axis:
    """The vertical axis: its title, the digits of its numbers, whether zero is a landmark, and what can be reached.

    A t-interval of two or three seeds may pass 100 %; bars are drawn to the bounds only, tooltips give the numbers.
    """

    title: str
    decimals: int
    zero: bool = False
    bounds: tuple[float, float] = (-math.inf, math.inf)

    def within(self, value: float) -> float | None:
        """The value drawn; None where there is none."""
        return min(max(value, self.bounds[0]), self.bounds[1]) if math.isfinite(value) else None


@dataclass(frozen=True)
class Level:
    """A horizontal line across the chart: what has no temperature, such as students without a teacher."""

    label: str
    mean: float


def temperature_chart(
    series: Sequence[Series],
    temperatures: Sequence[float],
    alphas: Sequence[float],
    axis: Axis,
    size: Size,
    levels: Sequence[Level] = (),
) -> Any:
    """The chart. T has evenly spaced positions: on a true scale 1, 2 and 3 would be one spot beside 64."""
    height = 150 if size.paper else 300
    domain = _domain(series, axis, levels)
    means, dots, labels = _rows(series, temperatures, axis, domain, height / size.scale)
    ticks = json.dumps([f"{t:g}" for t in temperatures])
    x = alt.X(
        "x:Q",
        scale=alt.Scale(domain=[-0.25, len(temperatures) - 0.75], nice=False, zero=False),
        axis=alt.Axis(
            title="Temperature T (evenly spaced)",
            values=list(range(len(temperatures))),
            labelExpr=f"{ticks}[datum.value]",
            grid=False,
        ),
    )
    y_scale = alt.Scale(domain=domain, nice=False, zero=False)
    y = alt.Y("mean:Q", scale=y_scale, axis=alt.Axis(title=axis.title, tickCount=5))
    names = [alpha_label(alpha) for alpha in alphas]
    colour = alt.Color("alpha:N", scale=alt.Scale(domain=names), legend=None)
    shape = alt.Shape("alpha:N", scale=alt.Scale(domain=names, range=shapes(len(names))), legend=None)
    dash = alt.StrokeDash("dashed:N", scale=alt.Scale(domain=[False, True], range=[[1, 0], [5, 4]]), legend=None)
    tooltip = [
        alt.Tooltip("series:N", title="line"),
        alt.Tooltip("T:N", title="T"),
        alt.Tooltip("shown:N", title="mean"),
        alt.Tooltip("range:N", title="95 % interval"),
        alt.Tooltip("n:Q", title="seeds"),
    ]
    base = alt.Chart(pd.DataFrame(means)).encode(x=x, y=y, color=colour)
    layers = []
    if axis.zero:
        layers.append(alt.Chart().mark_rule(style="neutral").encode(y=alt.YDatum(0, scale=y_scale)))
    if levels:
        line = LABEL_LINE * (domain[1] - domain[0]) / (height / size.scale)
        layers += _level_layers(levels, means, len(temperatures), line, y_scale, x, size)
    if dots:
        seed_dots = alt.Chart(pd.DataFrame(dots)).mark_circle(size=22 * size.scale, opacity=0.35)
        layers.append(seed_dots.encode(x=x, y=alt.Y("mean:Q", scale=y_scale), color=colour))
    layers += [
        base.mark_rule().encode(y=alt.Y("low:Q", scale=y_scale), y2="high:Q").transform_filter("isValid(datum.low)"),
        base.mark_line().encode(detail="series:N", strokeDash=dash),
        base.mark_point(filled=True, opacity=1, size=75 * size.scale**2).encode(shape=shape, tooltip=tooltip),
        alt.Chart(pd.DataFrame(labels))
        .mark_text(align="left", baseline="middle", dx=10 * size.scale, style="end-label")
        .encode(x=x, y=alt.Y("mean:Q", scale=y_scale), color=colour, text="series:N"),
    ]
    return laid_out(layers, labels, height, size)


def laid_out(layers: Sequence[Any], labels: Sequence[dict[str, Any]], height: int, size: Size) -> Any:
    """The layers as one chart, with room beyond its lines' ends for their labels (rows with `series`)."""
    return alt.layer(*layers).properties(
        width=size.width or "container",
        height=height,
        view=alt.ViewBackground(stroke=None),
        padding={"left": 2, "top": 5, "right": _label_room(labels) if size.paper else 12, "bottom": 2},
        autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
    )


def _label_room(labels: Sequence[dict[str, Any]]) -> int:
    """Points beyond the end labels, which a reader's fonts may set wider than ours: the image would cut them off."""
    return 6 + round(0.9 * max((len(row["series"]) for row in labels), default=0))


def _level_layers(
    levels: Sequence[Level],
    means: Sequence[dict[str, Any]],
    count: int,
    line: float,
    y_scale: Any,
    x: Any,
    size: Size,
) -> list[Any]:
    """Each level as a dashed line, with its name where the fewest of the chart's lines and bars cross it."""
    y = alt.Y("mean:Q", scale=y_scale)
    rules = alt.Chart(pd.DataFrame({"mean": [level.mean for level in levels]}))
    written: list[dict[str, Any]] = []  # names, which others do not cross
    layers = [rules.mark_rule(style="neutral", strokeDash=[4, 3]).encode(y=y)]
    left, right = -0.22, count - 0.78
    for level in levels:
        others = [row for other in levels if other is not level for row in across(other.label, other.mean, left, right)]
        at = place(level.label, level.mean, [*means, *others, *written], left, right, line)
        middle = level.mean + (0.5 if at.above else -0.5) * line
        written += across(f"name of {level.label}", middle, at.x, at.x + width_of(level.label, left, right))
        baseline, dy = ("bottom", -3) if at.above else ("top", 4)
        row = alt.Chart(pd.DataFrame([{"x": at.x, "mean": level.mean, "label": level.label}]))
        name = row.mark_text(align="left", baseline=baseline, dy=dy * size.scale, style="level-label")
        layers.append(name.encode(x=x, y=y, text="label:N"))
    return layers


def _domain(series: Sequence[Series], axis: Axis, levels: Sequence[Level] = ()) -> list[float]:
    """The vertical range: all intervals and seeds with a margin; zero included where it is a landmark."""
    values = [v for s in series for i in s.points.values() for v in (i.mean, i.low, i.high)]
    values += [v for s in series for own in s.seeds.values() for v in own] + [level.mean for level in levels]
    drawn = [axis.within(v) for v in values] + ([0.0] if axis.zero else [])
    inside = [v for v in drawn if v is not None]
    low, high = min(inside), max(inside)
    margin = 0.06 * (high - low) or abs(high) * 0.05 or 1.0
    return [low - margin, high + margin]


def _rows(
    series: Sequence[Series], temperatures: Sequence[float], axis: Axis, domain: list[float], pixels: float
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of the means, of the seeds and of the end labels. Lines stand side by side at a T, so that bars show."""
    means: list[dict[str, Any]] = []
    dots: list[dict[str, Any]] = []
    labels: list[dict[str, Any]] = []
    for position, line in enumerate(series):
        offset = min(0.07, 0.25 / len(series)) * (position - (len(series) - 1) / 2)
        identity = {"alpha": alpha_label(line.alpha), "series": line.label, "dashed": line.dashed}
        for index, temperature in enumerate(temperatures):
            interval = line.points.get(temperature)
            if interval is None or not math.isfinite(interval.mean):
                continue
            where = identity | {"x": round(index + offset, 3)}
            means.append(
                where
                | {
                    "T": f"{temperature:g}",
                    "mean": interval.mean,
                    "low": axis.within(interval.low),
                    "high": axis.within(interval.high),
                    "n": interval.n,
                    "shown": fixed(interval.mean, axis.decimals),
                    "range": between(interval.low, interval.high, axis.decimals),
                }
            )
            if interval.n > 1:
                dots += [where | {"mean": value} for value in line.seeds.get(temperature, ())]
        if means and means[-1]["series"] == line.label:
            labels.append(identity | {"x": means[-1]["x"], "mean": means[-1]["mean"]})
    # Labels of lines that end together start together, so that a moved label never lies on its neighbour's mark.
    ends: dict[int, float] = {}
    for row in labels:
        ends[round(row["x"])] = max(row["x"], ends.get(round(row["x"]), row["x"]))
    for row in labels:
        row["x"] = ends[round(row["x"])]
    spread(labels, LABEL_LINE * (domain[1] - domain[0]) / pixels)
    return means, dots, labels


def spread(labels: list[dict[str, Any]], gap: float) -> None:
    """Move labels apart, in place, until neighbours are at least a gap apart, around where they were."""
    labels.sort(key=lambda row: row["mean"])
    for _ in range(60):
        moved = False
        for below, above in pairwise(labels):
            short = gap - (above["mean"] - below["mean"])
            if short > gap * 1e-3:
                below["mean"] -= short / 2
                above["mean"] += short / 2
                moved = True
        if not moved:
            return
