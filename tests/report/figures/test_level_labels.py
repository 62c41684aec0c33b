"""The name of a horizontal line stands where nothing crosses it, if there is such a place."""

from __future__ import annotations

import pytest

from tosmooth.report.figures.level_labels import Place, place


def rows(*means: float, series: str = "α = 0", bar: float = 0.0) -> list[dict]:
    return [
        {"series": series, "x": float(x), "mean": mean, "low": mean - bar, "high": mean + bar}
        for x, mean in enumerate(means)
    ]


def place_of(points: list[dict], level: float = 80.0) -> Place:
    return place("without a teacher", level, points, -0.22, 2.22, 1.0)


def test_it_stands_at_the_left_end_and_above_where_that_is_free() -> None:
    assert place_of([]) == (-0.22, True)
    assert place_of(rows(70, 72, 74)) == (-0.22, True)
    assert place_of(rows(79.5, 79.5, 79.5)) == (-0.22, True)


@pytest.mark.parametrize("means", [(80.5, 80.5, 80.5), (80.2, 80.9, 84.0)])
def test_a_line_just_above_sends_it_below(means: tuple[float, ...]) -> None:
    assert place_of(rows(*means)) == (-0.22, False)


def test_a_line_that_falls_through_sends_it_to_where_it_has_fallen() -> None:
    at = place_of(rows(80.6, 78.0, 70.0))  # at 80 it is at x = 0.23
    assert at.above
    assert 0.2 < at.x < 0.35


def test_bars_are_in_the_way_as_lines_are() -> None:
    assert place_of(rows(79, 70, 70, bar=2.0)).x > 0
    with_none = [row | {"low": None, "high": None} for row in rows(79, 70, 70)]
    assert place_of(with_none) == (-0.22, True)


def test_lines_are_not_joined_with_one_another() -> None:
    """One has only T = 1, the other only the highest T: what would lie between them is no line."""
    first, last = rows(80, bar=2.0), [row | {"series": "α = 0.1", "x": 2.0} for row in rows(80, bar=2.0)]
    assert place_of([*first, *last]) == (0.03, True)
