"""d′ against the temperature: how far classes stand from similar ones (solid) and dissimilar ones (dashed)."""

from __future__ import annotations

import pandas as pd

from tosmooth.advice.units import by_unit
from tosmooth.report.figures.figure import Figure, Size
from tosmooth.report.figures.lines import Axis, Series, temperature_chart
from tosmooth.report.reading import StudyFiles
from tosmooth.words.numbers import (
    alpha_label,
    between,
    decimals_for,
    fixed,
    half_width,
    over_seeds,
    signed,
    temperature_label,
)

MOST_WITH_BOTH = 3  # values of α, each of which takes two lines
QUANTITIES = {"diffusion/d_prime_s1": "similar", "diffusion/d_prime_s2": "dissimilar"}
KEYS = ["label_smoothing", "temperature"]


def separation_figure(files: StudyFiles) -> Figure | None:
    """d′ to similar and dissimilar classes against T for the main setting's students; None where it was not measured
    or there is one temperature."""
    cells = files.cells_of(files.settings[0])
    if not set(QUANTITIES) <= set(cells.columns) or len(files.temperatures) < 2:
        return None
    cells = cells.dropna(subset=list(QUANTITIES))
    if cells.empty:
        return None
    units = by_unit(cells, list(QUANTITIES), KEYS, unit=files.unit)
    alphas = sorted({float(a) for a in units.label_smoothing})
    drawn = list(QUANTITIES.items())[: 2 if len(alphas) <= MOST_WITH_BOTH else 1]
    lines = []
    for alpha in alphas:
        own = units[units.label_smoothing == alpha]
        for quantity, direction in drawn:
            seeds = {float(t): [float(v) for v in part[quantity]] for t, part in own.groupby("temperature")}
            points = {t: over_seeds(values) for t, values in seeds.items()}
            label = f"{alpha_label(alpha)}, {direction}"
            lines.append(Series(label, alpha, points, seeds, dashed=direction == "dissimilar"))
    decimals = decimals_for([half_width(i) for s in lines for i in s.points.values()], otherwise=1, least=1, most=2)
    axis = Axis("Separation d′", decimals)

    def draw(size: Size) -> object:
        return temperature_chart(lines, files.temperatures, files.alphas, axis, size)

    described = "; ".join(
        f"{line.label}: " + ", ".join(f"T = {t:g} {fixed(i.mean, decimals)}" for t, i in sorted(line.points.items()))
        for line in lines
    )
    directions = (
        "Solid: from similar classes; dashed: from dissimilar ones."
        if len(drawn) > 1
        else "From similar classes; the table has the dissimilar ones."
    )
    several, word = any(i.n > 1 for line in lines for i in line.points.values()), files.unit_word
    bars = (
        f"Bars: 95 % t-interval over {word}s; faint dots: single {word}s." if several else f"One {word}: no interval."
    )
    return Figure(
        key="separation",
        finding=_finding(files, units),
        alt=f"Line chart of the separation d′ against temperature. {described}.",
        caption="d′: distance between the centroids of two classes over their spread along the line between them, mean "
        f"over classes, validation features. The lower, the harder to tell apart. {directions} {bars}",
        draw=draw,
    )


def _finding(files: StudyFiles, units: pd.DataFrame) -> str:
    """What raising T to the highest does to d′ from similar classes under the most smoothed teacher."""
    top, base, alpha = files.highest_temperature, files.reference_temperature, float(units.label_smoothing.max())
    by_temperature = units[units.label_smoothing == alpha].pivot_table(
        index="unit", columns="temperature", values="diffusion/d_prime_s1"
    )
    who = f"from {temperature_label(base)} to {temperature_label(top)} ({alpha_label(alpha)})"
    if top == base or not {top, base} <= set(by_temperature.columns):
        return "How far classes stand from those they resemble, by temperature"
    change = over_seeds((by_temperature[top] - by_temperature[base]).dropna())
    digits = decimals_for([half_width(change)], otherwise=1, least=1, most=2)
    said = signed(change.mean, digits)
    if change.n < 2:
        return f"One {files.unit_word}: d′ to similar classes changes by {said} {who}"
    interval = f"{said}, 95 % interval {between(change.low, change.high, digits)}"
    if change.high < 0:
        return f"Similar classes get harder to tell apart {who}: d′ {interval}"
    if change.low > 0:
        return f"Similar classes get easier to tell apart {who}: d′ {interval}"
    return f"That similar classes get harder to tell apart {who} is not shown: d′ {interval}"
