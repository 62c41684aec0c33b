"""The look of all charts: one palette by α, kept in every figure, for light and dark screens and for paper."""

from __future__ import annotations

from typing import Any, Literal

Mode = Literal["light", "dark", "paper"]

SCREEN_FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'
PAPER_FONT = 'Helvetica, Arial, "Liberation Sans", sans-serif'

# Okabe and Ito's colour-blind-safe hues, darkened a little on white and lightened on black so that the labels at the
# lines' ends, which are text in the line's colour, keep a contrast of 4.5 : 1.
UNSMOOTHED = {"light": "#0072B2", "dark": "#5CB5EF"}
SMOOTHED = {
    "light": ["#C74E00", "#8A6A00", "#26789F", "#4D4D4D", "#7B3FA0", "#9B1B30", "#3F6B1F"],
    "dark": ["#FF8A4C", "#E8B93A", "#9AD4F2", "#C9C9C9", "#C79BEB", "#FF8FA3", "#A6D46F"],
}
# Heat maps: from the background to a tone on which text keeps its contrast. Blue against orange is told apart by all.
HEATMAP = {"light": ["#F3F8FC", "#B9D8EC", "#7FB8DE"], "dark": ["#20262B", "#24465E", "#2B6893"]}
DIVERGING = {"light": ["#7FB8DE", "#F6F6F4", "#F2A86B"], "dark": ["#2B6893", "#262628", "#8A4B16"]}
# Classes in the projection: hues that no α has.
CLASSES = {"light": ["#008A63", "#B0558A", "#7A7A7A"], "dark": ["#2FC79A", "#E79CC6", "#A3A3A3"]}
SHAPES = ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "triangle-right", "triangle-left"]
STAR = "M0,-1L0.2245,-0.309L0.951,-0.309L0.3633,0.118L0.5878,0.809L0,0.382L-0.5878,0.809L-0.3633,0.118L-0.951,-0.309L-0.2245,-0.309Z"  # fmt: skip  # noqa: E501


def alpha_colours(alphas: list[float], mode: Mode) -> list[str]:
    """A colour for every α, ascending: blue for α = 0, vermillion for the first α above it."""
    tone = "dark" if mode == "dark" else "light"
    smoothed = SMOOTHED[tone]
    above = [alpha for alpha in alphas if alpha > 0]
    return [UNSMOOTHED[tone] if a == 0 else smoothed[above.index(a) % len(smoothed)] for a in alphas]


def shapes(count: int) -> list[str]:
    """Point shapes for so many α, so that colour is not the only sign."""
    return [SHAPES[i % len(SHAPES)] for i in range(count)]


def theme(alphas: list[float], mode: Mode) -> dict[str, Any]:
    """The Vega-Lite configuration of a mode. Specifications hold no colour of their own: a change of it is enough."""
    paper = mode == "paper"
    ink, soft, line, back = {
        "light": ("#1b1b1b", "#5a5a5a", "#e3e3e0", "#ffffff"),
        "dark": ("#ececec", "#a8a8a8", "#3a3a3a", "#1c1c1e"),
        "paper": ("#000000", "#444444", "#dddddd", "#ffffff"),
    }[mode]
    small, normal, large = (6.5, 7, 8) if paper else (11.5, 12, 13)
    return {
        "font": PAPER_FONT if paper else SCREEN_FONT,
        "background": back if paper else "transparent",
        "view": {"stroke": line, "strokeWidth": 0.5 if paper else 1},
        "range": {
            "category": alpha_colours(alphas, mode),
            "ordinal": CLASSES["dark" if mode == "dark" else "light"],
            "heatmap": HEATMAP["dark" if mode == "dark" else "light"],
            "diverging": DIVERGING["dark" if mode == "dark" else "light"],
        },
        "axis": {
            "labelColor": soft,
            "titleColor": soft,
            "labelFontSize": small,
            "titleFontSize": normal,
            "titleFontWeight": "normal",
            "titlePadding": 4 if paper else 8,
            "gridColor": line,
            "gridWidth": 0.5 if paper else 1,
            "domain": False,
            "tickColor": line,
            "tickSize": 3 if paper else 4,
            "labelPadding": 2 if paper else 4,
        },
        "legend": {
            "labelColor": ink,
            "titleColor": soft,
            "labelFontSize": small,
            "titleFontSize": small,
            "titleFontWeight": "normal",
            "symbolSize": 30 if paper else 70,
            "orient": "top",
            "labelLimit": 140,
            "title": None,
        },
        "header": {
            "labelColor": ink,
            "labelFontSize": small,
            "labelPadding": 3 if paper else 6,
            "title": None,
        },
        "title": {
            "color": ink,
            "subtitleColor": soft,
            "fontSize": large,
            "subtitleFontSize": normal,
            "fontWeight": "bold",
            "anchor": "start",
            "frame": "bounds",
            "offset": 6,
        },
        "style": {
            "end-label": {"fontSize": normal, "fontWeight": 600},
            "level-label": {"fontSize": small, "fill": soft, "stroke": None},
            "neutral": {"color": soft, "stroke": soft, "strokeWidth": 0.6 if paper else 1},
            "map-text": {"fontSize": normal, "fill": ink, "stroke": None},  # "cell" is Vega-Lite's own
            "map-outline": {"stroke": ink},
            "halo": {"stroke": back, "strokeWidth": 0.5 if paper else 1},
        },
        "line": {"strokeWidth": 1.2 if paper else 2.25},
        "rule": {"strokeWidth": 0.8 if paper else 1.5},
    }
