"""Heat maps over (α, T): validation accuracy or BLEU, η similar − dissimilar; for grids too fine for lines alone."""

from __future__ import annotations

import math
from typing import Any

import altair as alt
import pandas as pd

from tosmooth.advice.units import by_unit
from tosmooth.analysis.inference import Interval
from tosmooth.losses.objectives import has_temperature
from tosmooth.report.figures.diffusion import declared_summary
from tosmooth.report.figures.figure import Figure, Size
from tosmooth.report.reading import StudyFiles
from tosmooth.tasks.metric import capital
from tosmooth.words.numbers import (
    MISSING,
    alpha_label,
    between,
    decimals_for,
    fixed,
    half_width,
    interval_of,
    over_seeds,
    plus_minus,
    signed,
    temperature_label,
)

Cells = dict[tuple[float, float], Interval]  # by (α, T)
FEWEST = 3  # values of α, and of T, from which on a map shows more than lines do
MOST_NARROW = 8  # temperatures that fit into one column of a paper


def heatmap_figures(files: StudyFiles) -> list[Figure]:
    """The maps of every (objective with a temperature, student model); none where the grid is small."""
    if min(len(files.alphas), len(files.temperatures)) < FEWEST:
        return []
    settings = [setting for setting in files.settings if has_temperature(setting[0])]
    made = [_accuracy_map(files, setting) for setting in settings]
    made += [_diffusion_map(files, setting) for setting in settings]
    return [figure for figure in made if figure is not None]


def accuracy_cells(files: StudyFiles, setting: tuple[str, str]) -> tuple[Cells, str]:
    """Mean of the metric over units by (α, T), on validation where there is one; and the name of the split."""
    cells = files.cells_of(setting)
    validation = files.metric.val
    column = validation if validation in cells and cells[validation].notna().any() else files.accuracy
    if column is None:
        return {}, ""
    units = by_unit(cells.dropna(subset=[column]), [column], ["label_smoothing", "temperature"], unit=files.unit)
    parts = units.groupby(["label_smoothing", "temperature"])[column]
    return {(float(a), float(t)): over_seeds(part) for (a, t), part in parts}, column.split("/")[0]


def _best(found: Cells, sign: int) -> tuple[float, float] | None:
    return max(found, key=lambda key: sign * found[key].mean) if found else None


def _accuracy_map(files: StudyFiles, setting: tuple[str, str]) -> Figure | None:
    found, split = accuracy_cells(files, setting)
    best = _best(found, files.metric.sign)
    if best is None:
        return None
    words, metric = "validation" if split == "val" else "test", files.metric
    worst = min(found, key=lambda key: files.metric.sign * found[key].mean)
    decimals = decimals_for([half_width(i) for i in found.values()], otherwise=1, least=1, most=2)
    high, low = (f"{_place(end)} ({plus_minus(found[end], decimals)}{metric.unit})" for end in (best, worst))
    ends = ("lowest", "highest") if metric.lower_is_better else ("highest", "lowest")
    finding = f"{words.capitalize()} {metric.noun} is {ends[0]} at {high} and {ends[1]} at {low}"
    caption = (
        f"{capital(metric.quantity)} of the students on the {words} split{metric.in_percent}, mean over "
        f"{files.unit_word}s, by the smoothing α of the teacher and the temperature T (objective {setting[0]}, student "
        f"{setting[1]}). The best mean is outlined; whether others are as good, the comparisons tell."
    )
    return _figure(files, setting, metric.key, found, best, decimals, finding, caption, signs=False)


def _diffusion_map(files: StudyFiles, setting: tuple[str, str]) -> Figure | None:
    rows = declared_summary(files, setting)
    if rows.empty:
        return None
    rows = rows[rows["quantity"] == "eta_s1-eta_s2"]
    found = {(float(row["label_smoothing"]), float(row["temperature"])): interval_of(row) for _, row in rows.iterrows()}
    known = {key: interval for key, interval in found.items() if math.isfinite(interval.mean)}
    if not known:
        return None
    best = _best(accuracy_cells(files, setting)[0], files.metric.sign)
    widths = [half_width(i) for (_, t), i in known.items() if t != files.reference_temperature]
    decimals = decimals_for(widths, otherwise=2, least=2, most=3)
    ends = (max(known, key=lambda key: known[key].mean), min(known, key=lambda key: known[key].mean))
    parts = [f"{signed(known[end].mean, decimals)} at {_place(end)}" for end in ends]
    finding = f"η similar − dissimilar ranges from {parts[1]} to {parts[0]}"
    caption = (
        "η towards similar classes less η towards dissimilar ones, training features, mean over "
        f"{files.unit_word}s (objective {setting[0]}, student {setting[1]}). Above 0: drift towards similar classes "
        f"since {temperature_label(files.reference_temperature)}, where it is 0 by definition. Outlined: the setting "
        f"with the best {files.metric.noun}. Whether a value differs from 0, its interval tells, not its colour."
    )
    return _figure(files, setting, "diffusion", known, best, decimals, finding, caption, signs=True)


def _place(key: tuple[float, float]) -> str:
    return f"{alpha_label(key[0])}, {temperature_label(key[1])}"


def _figure(
    files: StudyFiles,
    setting: tuple[str, str],
    kind: str,
    found: Cells,
    best: tuple[float, float] | None,
    decimals: int,
    finding: str,
    caption: str,
    *,
    signs: bool,
) -> Figure:
    write = signed if signs else fixed
    rows: list[dict[str, Any]] = []
    for alpha in files.alphas:
        for temperature in files.temperatures:
            interval = found.get((alpha, temperature), Interval(math.nan, math.nan, math.nan, 0))
            known = math.isfinite(interval.mean)
            rows.append(
                {
                    "alpha": f"{alpha:g}",
                    "T": f"{temperature:g}",
                    "value": interval.mean if known else None,
                    "shown": write(interval.mean, decimals) if known else MISSING,
                    "range": between(interval.low, interval.high, decimals),
                    "n": interval.n,
                    "best": (alpha, temperature) == best,
                }
            )
    reach = max(abs(interval.mean) for interval in found.values()) or 1.0
    domain = [-reach, reach] if signs else [min(i.mean for i in found.values()), max(i.mean for i in found.values())]
    suffix = files.accuracy_keys[setting].removeprefix(files.metric.key)
    described = "; ".join(
        f"{alpha_label(alpha)}: "
        + ", ".join(f"T = {row['T']} {row['shown']}" for row in rows if row["alpha"] == f"{alpha:g}")
        for alpha in files.alphas
    )
    data = pd.DataFrame(rows)

    def draw(size: Size) -> object:
        return _chart(data, domain, "diverging" if signs else "heatmap", files.unit_word, size)

    quantity = "η similar − dissimilar" if signs else files.metric.quantity
    outlined = "" if best is None else f" Outlined: {_place(best)}."
    others = f"{setting[0]}, {setting[1]}: " if setting != files.settings[0] else ""
    return Figure(
        key=f"heatmap-{kind}{suffix}",
        finding=f"{others}{finding}",
        alt=f"Heat map of {quantity} by teacher smoothing α and temperature T. {described}.{outlined}",
        caption=caption,
        draw=draw,
        wide=len(files.temperatures) > MOST_NARROW,
    )


def _chart(data: pd.DataFrame, domain: list[float], colours: str, word: str, size: Size) -> object:
    temperatures, alphas = list(dict.fromkeys(data["T"])), list(dict.fromkeys(data["alpha"]))
    axis = {"grid": False, "ticks": False, "labelAngle": 0}
    base = alt.Chart(data).encode(
        x=alt.X("T:O", sort=temperatures, axis=alt.Axis(title="Temperature T", **axis), scale=alt.Scale(padding=0.04)),
        # The largest α on top, as an axis of numbers would have it.
        y=alt.Y(
            "alpha:O", sort=alphas[::-1], axis=alt.Axis(title="Smoothing α", **axis), scale=alt.Scale(padding=0.06)
        ),
    )
    scale = alt.Scale(domain=domain, range=colours)
    tooltip = [
        alt.Tooltip("alpha:N", title="α"),
        alt.Tooltip("T:N", title="T"),
        alt.Tooltip("shown:N", title="mean"),
        alt.Tooltip("range:N", title="95 % interval"),
        alt.Tooltip("n:Q", title=f"{word}s"),
    ]
    known = base.transform_filter("isValid(datum.value)")
    return alt.layer(
        known.mark_rect().encode(color=alt.Color("value:Q", scale=scale, legend=None), tooltip=tooltip),
        base.transform_filter("datum.best").mark_rect(fillOpacity=0, strokeWidth=3 * size.scale, style="map-outline"),
        base.transform_filter("!datum.best").mark_text(style="map-text").encode(text="shown:N"),
        base.transform_filter("datum.best").mark_text(style="map-text", fontWeight="bold").encode(text="shown:N"),
    ).properties(
        width=size.width or "container",
        height=(18 if size.paper else 38) * len(alphas),
        view=alt.ViewBackground(stroke=None),
        padding={"left": 2, "top": 5, "right": 6 if size.paper else 12, "bottom": 2},
        autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
    )
