"""The metric against the temperature, a line per α: the first figure of the report."""

from __future__ import annotations

import math

import pandas as pd

from tosmooth.advice.units import by_unit, unit_of, unit_word
from tosmooth.analysis.inference import Interval
from tosmooth.losses.objectives import has_temperature
from tosmooth.report.figures.figure import Figure, Size
from tosmooth.report.figures.lines import Axis, Level, Series, temperature_chart
from tosmooth.report.reading import StudyFiles
from tosmooth.report.results_tables import controls_note
from tosmooth.tasks.metric import Metric, capital
from tosmooth.words.numbers import (
    alpha_label,
    count_of,
    decimals_for,
    fixed,
    half_width,
    listed,
    over_seeds,
    plus_minus,
    signed,
    temperature_label,
)

MOST_TOLD = 3  # values of α whose change a title can tell one by one


def series_of(cells: pd.DataFrame, column: str, factor: float = 1.0) -> list[Series]:
    """One line per α of a column of `results.csv`, with its 95 % t-interval over units (see `study.units`).

    Args:
        factor: what the column is multiplied by, for example 100 from a fraction to percent.
    """
    lines = []
    units = by_unit(cells.dropna(subset=[column]), [column], ["label_smoothing", "temperature"], unit=unit_of(cells))
    for alpha, part in units.groupby("label_smoothing"):
        seeds = {float(t): [factor * float(v) for v in own[column]] for t, own in part.groupby("temperature")}
        points = {t: over_seeds(values) for t, values in seeds.items()}
        lines.append(Series(alpha_label(float(alpha)), float(alpha), points, seeds))
    return lines


def seeds_note(cells: pd.DataFrame) -> str:
    """What the bars are, or why there are none."""
    count, word = cells[unit_of(cells)].nunique(), unit_word(cells)
    if count < 2:
        return f"One {word}: no interval can be given, and differences may be chance."
    each = f"single {word}s" + (", mean over their students" if word != "seed" else "")
    return (
        f"Bars: 95 % t-interval over {count} {word}s; faint dots: {each}. Seeds are paired across cells, so a "
        "difference between cells is surer than the bars suggest."
    )


def paired_change(cells: pd.DataFrame, column: str, alpha: float, start: float, end: float) -> Interval:
    """Change of a column between two temperatures at one α, paired by seed, over units."""
    own, unit = cells[cells["label_smoothing"] == alpha], unit_of(cells)
    table = own.pivot_table(index=["teacher_seed", "seed"] if "teacher_seed" in own else ["seed"],
                            columns="temperature", values=column)  # fmt: skip
    if start not in table or end not in table:
        return over_seeds([])
    return over_seeds((table[end] - table[start]).groupby(level=unit).mean())


def accuracy_figure(files: StudyFiles, setting: tuple[str, str], *, main: bool) -> Figure | None:
    """The metric against T for one (objective, student model); None where nothing was measured.

    And None for sequence-level distillation, which has no T: the caption of its student's other figures has its means.
    """
    column, cells, metric = files.accuracy, files.cells_of(setting), files.metric
    if column is None or cells[column].dropna().empty or not has_temperature(setting[0]):
        return None
    lines = series_of(cells, column)
    widths = [half_width(i) for line in lines for i in line.points.values()]
    decimals = decimals_for(widths, otherwise=1, least=1, most=2)
    percent = " (%)" if metric.unit else ""
    axis = Axis(f"{capital(metric.quantity)} on {files.split_name} data{percent}", decimals, bounds=metric.bounds)

    controls = ((name, over_seeds(rows.get(column, ()))) for name, rows in files.controls_of(setting[1]))
    levels = [Level(name, score.mean) for name, score in controls if score.n]

    def draw(size: Size) -> object:
        return temperature_chart(lines, files.temperatures, files.alphas, axis, size, levels)

    finding = accuracy_finding(files, cells, column, decimals)
    described = "; ".join(
        f"{line.label}: "
        + ", ".join(
            f"{temperature_label(t)} {plus_minus(i, decimals)}{metric.unit}" for t, i in sorted(line.points.items())
        )
        for line in lines
    )
    return Figure(
        key=files.accuracy_keys[setting],
        finding=finding if main else f"{setting[0]}, {setting[1]}: {_inside(finding, metric)}",
        alt=f"Line chart of {metric.quantity} on {files.split_name} data against temperature. {described}.",
        caption=f"{capital(metric.quantity)} of the students on the {files.split_name} split, by the temperature of "
        f"distillation and the smoothing α of the teacher (objective {setting[0]}, student {setting[1]}). "
        f"{seeds_note(cells)}{_without_temperature(files, setting[1], column, decimals)}"
        f"{controls_note(files, setting[1], column, decimals)}",
        draw=draw,
    )


def _without_temperature(files: StudyFiles, student: str, column: str, decimals: int) -> str:
    """What no point of the chart can show: the means of a student model's settings that have no T; a sentence each."""
    text = ""
    for objective in dict.fromkeys(o for o, own in files.settings if own == student and not has_temperature(o)):
        means = [
            f"{plus_minus(interval, decimals)}{files.metric.unit} for {line.label}"
            for line in series_of(files.cells_of((objective, student)), column)
            for interval in line.points.values()
        ]
        text += f" Not drawn, as it has no temperature: {objective}, {listed(means)}." if means else ""
    return text


def accuracy_finding(files: StudyFiles, cells: pd.DataFrame, column: str, decimals: int) -> str:
    """What happens to the metric between T₀ and the highest T, in words that its interval allows."""
    start, end, metric = files.reference_temperature, files.highest_temperature, files.metric
    name = capital(metric.noun)
    if start == end:
        means = {a: over_seeds(part[column]).mean for a, part in cells.groupby("label_smoothing")}
        parts = [f"{fixed(mean, decimals)}{metric.unit} for {alpha_label(float(a))}" for a, mean in means.items()]
        return f"{name} at {temperature_label(end)}: {listed(parts)}"
    changes = {alpha: paired_change(cells, column, alpha, start, end) for alpha in files.alphas}
    known = {alpha: change for alpha, change in changes.items() if change.n}
    span = f"from {temperature_label(start)} to {temperature_label(end)}"
    if not known:
        return f"{name} by temperature; no student was finished at both {temperature_label(start)} and T = {end:g}"
    decimals = max(decimals, decimals_for([half_width(c) for c in known.values()], otherwise=decimals, most=2))
    if len(known) > MOST_TOLD:
        low, high = (pick(known, key=lambda a: known[a].mean) for pick in (min, max))
        ends = [f"{signed(known[a].mean, decimals)} ({alpha_label(a)})" for a in (low, high)]
        single = ", one seed" if min(c.n for c in known.values()) < 2 else ""
        return f"{name} changes by {ends[0]} to {ends[1]} points {span}{single}"
    clear = {a: c for a, c in known.items() if c.n < 2 or not c.low <= 0 <= c.high}
    unclear = {a: c for a, c in known.items() if a not in clear}
    if not clear:
        shown = [f"{plus_minus(c, decimals, sign=True)} for {alpha_label(a)}" for a, c in unclear.items()]
        return f"No clear change in {metric.noun} {span} ({listed(shown)})"
    order = sorted(clear, key=lambda a: -abs(clear[a].mean))
    text = ""
    for alpha in order:
        change = clear[alpha]
        verb = "falls" if change.mean < 0 else "rises"
        size = f"by {fixed(abs(change.mean), max(decimals, _needed(change.mean)))}"
        if not text:
            text = f"{name} {verb} {size} points {span} for {alpha_label(alpha)}"
        else:
            text += f", and {verb} {size} for {alpha_label(alpha)}"
    for alpha, change in unclear.items():
        text += f"; no clear change for {alpha_label(alpha)} ({plus_minus(change, decimals, sign=True)})"
    lonely = min(c.n for c in known.values()) < 2
    return f"{text} ({count_of(1, 'seed')})" if lonely else text


def _inside(finding: str, metric: Metric) -> str:
    """The finding in the middle of a sentence; a name like BLEU keeps its capital letters."""
    return finding if finding.startswith(metric.noun) else f"{finding[0].lower()}{finding[1:]}"


def _needed(value: float) -> int:
    """Decimals without which a value would be written as zero."""
    return 0 if value == 0 or abs(value) >= 0.5 else min(2, math.ceil(-math.log10(abs(value))))
