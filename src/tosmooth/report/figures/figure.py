"""A figure: its finding, its alternative text, its caption, and a drawing that serves the screen and the page."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import altair as alt
from altair.utils.schemapi import debug_mode

from tosmooth.words.numbers import unbroken

COLUMN_WIDTH = 234  # points; the column of a two-column paper
TEXT_WIDTH = 487  # points; both columns
PREVIEW_NOTE = "PREVIEW: a short run to show the pipeline, too short to conclude from"


@dataclass(frozen=True)
class Size:
    """What a drawing is made for.

    Attributes:
        width: of the whole chart: points on paper; None on the screen, where it fills its container.
        scale: of marks and panels, 1 on the screen.
        paper: whether it is the static figure.
    """

    width: int | None
    scale: float
    paper: bool


@dataclass(frozen=True)
class Figure:
    """A figure of the report.

    Attributes:
        key: file name and anchor.
        finding: the title: what the numbers show, computed from them.
        alt: alternative text, for those who do not see the chart.
        caption: what is drawn, and what the uncertainty means.
        draw: makes the chart for a size.
        wide: a figure across both columns of a paper, which on a narrow screen scrolls in its own container.
    """

    key: str
    finding: str
    alt: str
    caption: str
    draw: Callable[[Size], Any]
    wide: bool = False

    def screen_spec(self) -> dict[str, Any]:
        """The Vega-Lite specification for the browser, without colours and title: page and theme give them."""
        return self._spec(Size(None, 1.0, paper=False))

    def paper_spec(self, config: dict[str, Any], *, preview: bool) -> dict[str, Any]:
        """The Vega-Lite specification at a paper's column width, with its finding as the title."""
        width = TEXT_WIDTH if self.wide else COLUMN_WIDTH
        spec = self._spec(Size(width, 0.6, paper=True))
        # Helvetica bold at 8 points is about 4.6 points a character; a line too long would be cut off.
        title: dict[str, Any] = {"text": textwrap.wrap(unbroken(self.finding), int(width / 4.8)) or [""]}
        if preview:
            title["subtitle"] = textwrap.wrap(PREVIEW_NOTE, int(width / 4.0))
        return spec | {"title": title, "config": config}

    def _spec(self, size: Size) -> dict[str, Any]:
        # Aside while the chart is made: Altair would look through every row of them as it does through a chart.
        apart = alt.data_transformers.enable("default", max_rows=None, consolidate_datasets=True)
        with apart, debug_mode(False):  # tests hold every figure against the schema: a fifth of a report's time
            spec: dict[str, Any] = self.draw(size).to_dict(validate=False)
        spec.pop("config", None)
        _put_back(spec, spec.pop("datasets", {}))
        spec["description"] = self.alt
        return spec


def _put_back(part: Any, datasets: dict[str, Any]) -> None:
    """Give every chart within a specification its rows in the place of the name that they go by."""
    if isinstance(part, dict):
        data = part.get("data")
        if isinstance(data, dict) and data.get("name") in datasets:
            part["data"] = {"values": datasets[data["name"]]}
        for key, inner in part.items():
            if key != "data":
                _put_back(inner, datasets)
    elif isinstance(part, list):
        for inner in part:
            _put_back(inner, datasets)
