"""Where the name of a horizontal line is written: on that side and part of it that lines and bars leave free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

LETTER = 0.016  # of the chart's width, about, in the narrower of its two sizes
STEP = 0.05  # temperatures between places that are tried, and between points of a line that are looked at


class Place(NamedTuple):
    """Where a name begins, in positions of temperatures, and whether it stands above its line."""

    x: float
    above: bool


def place(label: str, level: float, rows: Sequence[Mapping[str, Any]], left: float, right: float, line: float) -> Place:
    """The place nearest to the left end that is crossed least; above, where below is no better.

    Args:
        label: the name.
        level: of the horizontal line.
        rows: points of the chart, in the order of their `series`: `x`, `mean`, and `low` and `high` of their bars.
        left, right: what may be written in, in positions of temperatures.
        line: height of a line of text, in the units of the vertical axis.
    """
    width = width_of(label, left, right)
    seen = _seen(rows)
    best, fewest = Place(left, above=True), len(seen) + 1
    for number in range(max(1, round((right - width - left) / STEP) + 1)):
        start = left + number * STEP
        nearby = [y for x, y in seen if start <= x <= start + width]
        for above in (True, False):
            low, high = (level, level + line) if above else (level - line, level)
            if (crossed := sum(low <= y <= high for y in nearby)) < fewest:
                best, fewest = Place(round(start, 3), above), crossed
    return best


def width_of(label: str, left: float, right: float) -> float:
    """About how wide a name is, in positions of temperatures."""
    return LETTER * len(label) * (right - left)


def across(series: str, level: float, left: float, right: float) -> list[dict[str, Any]]:
    """What lies level in the chart, another line or a written name, as rows of `place`."""
    return [{"series": series, "x": x, "mean": level, "low": None, "high": None} for x in (left, right)]


def _seen(rows: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
    """Points along the lines and along the bars."""
    found: list[tuple[float, float]] = []
    for row in rows:
        low, high = (row["mean"] if row[end] is None else row[end] for end in ("low", "high"))
        found += [(row["x"], y) for y in np.linspace(low, high, 21)]
    for one, other in pairwise(rows):
        if one["series"] == other["series"]:
            count = max(1, round((other["x"] - one["x"]) / STEP)) + 1
            xs, ys = (np.linspace(one[key], other[key], count) for key in ("x", "mean"))
            found += zip(xs, ys, strict=True)
    return found
