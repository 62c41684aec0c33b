"""d′ against the temperature: how far classes stand from similar ones (solid) and dissimilar ones (dashed)."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from tosmooth.report.figures.accuracy import paired_change, seeds_note, series_of
from tosmooth.report.figures.figure import Figure, Size
from tosmooth.report.figures.lines import Axis, temperature_chart
from tosmooth.report.reading import StudyFiles
from tosmooth.words.numbers import (
    alpha_label,
    between,
    decimals_for,
    fixed,
    half_width,
    signed,
    temperature_label,
)

MOST_WITH_BOTH = 3  # values of α, each of which takes two lines
TO_SIMILAR, TO_DISSIMILAR = "diffusion/d_prime_s1", "diffusion/d_prime_s2"


def separation_figure(files: StudyFiles) -> Figure | None:
    """d′ to similar and dissimilar classes against T for the main setting's students; None where it was not measured
    or there is one temperature."""
    cells = files.cells_of(files.settings[0])
    if not {TO_SIMILAR, TO_DISSIMILAR} <= set(cells.columns) or len(files.temperatures) < 2:
        return None
    cells = cells.dropna(subset=[TO_SIMILAR, TO_DISSIMILAR])
    if cells.empty:
        return None
    lines = [replace(line, label=f"{line.label}, similar") for line in series_of(cells, TO_SIMILAR)]
    both = len(lines) <= MOST_WITH_BOTH
    if both:
        others = series_of(cells, TO_DISSIMILAR)
        lines += [replace(line, label=f"{line.label}, dissimilar", dashed=True) for line in others]
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
        if both
        else "From similar classes; the table has the dissimilar ones."
    )
    return Figure(
        key="separation",
        finding=_finding(files, cells),
        alt=f"Line chart of the separation d′ against temperature. {described}.",
        caption="d′: distance between the centroids of two classes over their spread along the line between them, mean "
        f"over classes, validation features. The lower, the harder to tell apart. {directions} {seeds_note(cells)}",
        draw=draw,
    )


def _finding(files: StudyFiles, cells: pd.DataFrame) -> str:
    """What raising T to the highest does to d′ from similar classes under the most smoothed teacher."""
    top, base, alpha = files.highest_temperature, files.reference_temperature, float(cells.label_smoothing.max())
    who = f"from {temperature_label(base)} to {temperature_label(top)} ({alpha_label(alpha)})"
    change = paired_change(cells, TO_SIMILAR, alpha, base, top)
    if top == base or not change.n:
        return "How far classes stand from those they resemble, by temperature"
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
