"""η against the temperature: towards similar classes (solid) and towards dissimilar ones (dashed), a line per α."""

from __future__ import annotations

import pandas as pd

from tosmooth.advice.units import by_unit, unit_of
from tosmooth.analysis.inference import Interval
from tosmooth.report.figures.figure import Figure, Size
from tosmooth.report.figures.lines import Axis, Series, temperature_chart
from tosmooth.report.reading import StudyFiles
from tosmooth.words.numbers import (
    alpha_label,
    between,
    decimals_for,
    fixed,
    half_width,
    interval_of,
    signed,
    temperature_label,
)

MOST_WITH_BOTH = 3  # values of α, each of which takes two lines
QUANTITIES = {"eta_s1": "similar", "eta_s2": "dissimilar"}


def declared_summary(files: StudyFiles, setting: tuple[str, str] | None = None, split: str = "train") -> pd.DataFrame:
    """The rows of η over units in its declared form (normalised by the mean distance, not debiased).

    Args:
        setting: (objective, student model); None = the main one.
    """
    rows = files.summary
    if rows.empty:
        return rows
    rows = files.part_of(rows, setting or files.settings[0])
    return rows[(rows["split"] == split) & (rows["normalisation"] == "mean_distance") & ~rows["debiased"].astype(bool)]


def summarised(rows: pd.DataFrame, quantity: str, alpha: float, temperature: float) -> Interval | None:
    """One quantity of the summary at (α, T); None where it is not there."""
    if rows.empty:
        return None
    found = rows[
        (rows["quantity"] == quantity) & (rows["label_smoothing"] == alpha) & (rows["temperature"] == temperature)
    ]
    return interval_of(found.iloc[0]) if len(found) else None


def diffusion_figure(files: StudyFiles, setting: tuple[str, str] | None = None) -> Figure | None:
    """η_S1 and η_S2 against T on training features for one student model; None where η was not measured."""
    setting = setting or files.settings[0]
    rows = declared_summary(files, setting)
    if rows.empty:
        return None
    cells, word = files.diffusion, files.unit_word
    own = pd.DataFrame()
    if not cells.empty:
        own = files.part_of(cells, setting)
        own = own[(own["split"] == "train") & (own["normalisation"] == "mean_distance") & ~own["debiased"].astype(bool)]
        own = by_unit(own, list(QUANTITIES), ["label_smoothing", "temperature"], unit=unit_of(cells))
    lines = []
    alphas = sorted({float(a) for a in rows["label_smoothing"]})
    drawn = QUANTITIES if len(alphas) <= MOST_WITH_BOTH else {"eta_s1": QUANTITIES["eta_s1"]}
    for alpha in alphas:
        for quantity, direction in drawn.items():
            part = rows[(rows["label_smoothing"] == alpha) & (rows["quantity"] == quantity)]
            points = {float(row["temperature"]): interval_of(row) for _, row in part.iterrows()}
            seeds: dict[float, list[float]] = {}
            if not own.empty:
                for temperature, group in own[own["label_smoothing"] == alpha].groupby("temperature"):
                    seeds[float(temperature)] = [float(v) for v in group[quantity].dropna()]
            label = f"{alpha_label(alpha)}, {direction}"
            lines.append(Series(label, alpha, points, seeds, dashed=quantity == "eta_s2"))
    decimals = decimals_for([half_width(i) for s in lines for i in s.points.values()], otherwise=2, least=2, most=3)
    axis = Axis("Diffusion index η", decimals, zero=True)

    def draw(size: Size) -> object:
        return temperature_chart(lines, files.temperatures, files.alphas, axis, size)

    described = "; ".join(
        f"{line.label}: " + ", ".join(f"T = {t:g} {fixed(i.mean, decimals)}" for t, i in sorted(line.points.items()))
        for line in lines
    )
    main = setting == files.settings[0]
    directions = (
        "Solid: towards similar classes; dashed: towards dissimilar ones."
        if len(drawn) > 1
        else "Towards similar classes; the table has the dissimilar ones."
    )
    several = max(i.n for line in lines for i in line.points.values()) > 1
    bars = (
        f"Bars: 95 % t-interval over {word}s; faint dots: single {word}s." if several else f"One {word}: no interval."
    )
    return Figure(
        key=files.diffusion_keys[setting],
        finding=diffusion_finding(files, setting) if main else f"{setting[1]}: {diffusion_finding(files, setting)}",
        alt=f"Line chart of the diffusion index η against temperature. {described}.",
        caption="η > 0: the students' class centroids have moved towards those classes, relative to all others, since "
        f"{temperature_label(files.reference_temperature)}. {directions} Mean over classes, "
        f"training features. {bars}",
        draw=draw,
    )


def diffusion_finding(files: StudyFiles, setting: tuple[str, str] | None = None) -> str:
    """What η does at the highest T, claimed only where its interval over seeds leaves out zero."""
    rows = declared_summary(files, setting)
    top = files.highest_temperature
    at = f"At {temperature_label(top)}"
    smoothed = [a for a in files.alphas if a > 0 and summarised(rows, "eta_s1", a, top)]
    if not smoothed or top == files.reference_temperature:
        return "Diffusion index by temperature; there is no smoothed teacher at a raised temperature to judge by"
    alpha = smoothed[-1]
    similar = summarised(rows, "eta_s1", alpha, top)
    plain = summarised(rows, "eta_s1", 0.0, top)
    contrast = summarised(rows, "contrast", alpha, top)
    judged = contrast or summarised(rows, "eta_s1-eta_s2", alpha, top)
    assert similar is not None
    widths = [half_width(i) for i in (similar, plain, judged) if i is not None]
    digits = decimals_for(widths, otherwise=2, least=2, most=3)
    who = f"students of the α = {alpha:g} teacher"
    beside = f", against {fixed(plain.mean, digits)} without smoothing" if plain else ""
    values = f"η = {fixed(similar.mean, digits)}{beside}"
    if judged is None or judged.n < 2:
        said = values.removeprefix("η = ")
        return (
            f"One {files.unit_word}: at {temperature_label(top)}, η towards similar classes is {said} (α = {alpha:g})"
        )
    what = "contrast with the unsmoothed teacher" if contrast else "η similar − dissimilar"
    shown = f"{what} {signed(judged.mean, digits)}, 95 % interval {between(judged.low, judged.high, digits)}"
    difference = summarised(rows, "eta_s1-eta_s2", alpha, top)
    if judged.low > 0 and similar.low > 0 and difference is not None and difference.low > 0:
        return f"{at}, {who} drift towards similar classes: {values}"
    if judged.low > 0 and similar.low > 0:
        return f"{at}, {who} drift towards similar classes, but no further than towards dissimilar ones: {values}"
    if judged.low > 0:
        return (
            f"{at}, similar and dissimilar classes part, but {who} do not clearly move towards similar ones: {values}"
        )
    if judged.high < 0:
        return f"{at}, {who} drift less towards similar classes, not more ({shown})"
    return f"{at}, no drift towards similar classes {'due to smoothing ' if contrast else ''}is shown ({shown})"
