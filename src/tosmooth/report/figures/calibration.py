"""Calibration: the expected calibration error against T, and the reliability curves of teachers and students."""

from __future__ import annotations

import json

import altair as alt
import pandas as pd

from tosmooth.losses.objectives import has_temperature
from tosmooth.report.figures.accuracy import seeds_note, series_of
from tosmooth.report.figures.figure import Figure, Size
from tosmooth.report.figures.lines import Axis, temperature_chart
from tosmooth.report.figures.style import shapes
from tosmooth.report.reading import StudyFiles
from tosmooth.words.numbers import alpha_label, decimals_for, fixed, half_width, listed, plus_minus, temperature_label

WELL_CALIBRATED = 0.5  # points between mean confidence and accuracy that are not worth a word


def error_figure(files: StudyFiles) -> Figure | None:
    """ECE of the students against T; None where it was not measured."""
    cells = files.cells_of(files.settings[0])
    column = next((c for c in ("cal/ece", "cal/ece_val") if c in cells and cells[c].notna().any()), None)
    if column is None or not has_temperature(files.settings[0][0]):
        return None
    split = "test" if column == "cal/ece" else "validation"
    lines = series_of(cells, column, factor=100)
    decimals = decimals_for([half_width(i) for s in lines for i in s.points.values()], otherwise=1, least=1, most=2)
    axis = Axis(f"Calibration error on {split} data (ECE, %)", decimals, zero=True, bounds=(0.0, 100.0))

    def draw(size: Size) -> object:
        return temperature_chart(lines, files.temperatures, files.alphas, axis, size)

    means = {(line.alpha, t): i for line in lines for t, i in line.points.items()}
    best = min(means, key=lambda key: means[key].mean)
    worst = max(means, key=lambda key: means[key].mean)
    finding = (
        f"Calibration error is lowest for α = {best[0]:g} at T = {best[1]:g} ({fixed(means[best].mean, decimals)} %) "
        f"and highest for α = {worst[0]:g} at T = {worst[1]:g} ({fixed(means[worst].mean, decimals)} %)"
    )
    described = "; ".join(
        f"{line.label}: " + ", ".join(f"T = {t:g} {plus_minus(i, decimals)} %" for t, i in sorted(line.points.items()))
        for line in lines
    )
    return Figure(
        key="calibration-error",
        finding=finding,
        alt=f"Line chart of expected calibration error against temperature. {described}.",
        caption=f"Expected calibration error (15 bins) of the students on the {split} split: how far confidence is "
        f"from accuracy, on average. Lower is better. {seeds_note(cells)}",
        draw=draw,
    )


def reliability_figure(files: StudyFiles) -> Figure | None:
    """Accuracy against confidence in bins, a panel for the teachers and one per T; None where bins are missing."""
    if files.calibration.empty:
        return None
    bins = _pooled(files)
    panels = list(dict.fromkeys(bins.sort_values("order")["panel"]))
    ends = [{"panel": panel, "confidence": v, "accuracy": v, "kind": "diagonal"} for panel in panels for v in (0, 1)]
    shown = bins[["panel", "alpha", "confidence", "accuracy", "share"]].assign(kind="bin").round(4)
    data = pd.concat([shown, pd.DataFrame(ends)], ignore_index=True)
    labels = [alpha_label(a) for a in files.alphas]

    def draw(size: Size) -> object:
        return _reliability_chart(data, panels, labels, size)

    finding = _reliability_finding(bins)
    return Figure(
        key="reliability",
        finding=finding,
        alt=f"Reliability curves, accuracy against confidence, in panels {listed(panels)}. {finding}.",
        caption="Accuracy against confidence in 15 bins, test split, all seeds pooled; the diagonal is perfect "
        "calibration, points above it are under-confident. A point's size is its share of the predictions; bins with "
        "under 0.5 % of them are left out.",
        draw=draw,
        wide=True,
    )


def _pooled(files: StudyFiles) -> pd.DataFrame:
    """Bins of the same (role, α, T) pooled over seeds and objectives of the main setting, weighted by their counts."""
    names = set(files.cells_of(files.settings[0])["cell"])
    frame = files.calibration
    frame = frame[frame["label_smoothing"].isin(files.shown_alphas)]
    students = frame["name"].isin(names) & frame["temperature"].isin(files.shown_temperatures)
    frame = frame[(frame["role"] == "teacher") | students]
    frame = frame[frame["count"] > 0]
    rows = []
    keys = ["role", "label_smoothing", "temperature"]
    for (role, alpha, temperature), part in frame.groupby(keys, dropna=False):
        total = part["count"].sum()
        for _, own in part.groupby("bin"):
            count = own["count"].sum()
            rows.append(
                {
                    "panel": "teachers" if role == "teacher" else f"students, {temperature_label(temperature)}",
                    "order": -1.0 if role == "teacher" else temperature,
                    "role": role,
                    "label_smoothing": alpha,
                    "temperature": temperature,
                    "alpha": alpha_label(alpha),
                    "confidence": (own["confidence"] * own["count"]).sum() / count,
                    "accuracy": (own["accuracy"] * own["count"]).sum() / count,
                    "share": count / total,
                }
            )
    return pd.DataFrame(rows)


def _reliability_finding(bins: pd.DataFrame) -> str:
    """Mean confidence less accuracy of each teacher, and of the students at the highest T."""
    teachers = bins[bins["role"] == "teacher"]
    students = bins[bins["role"] == "student"]
    said = []
    if len(teachers):
        said.append(f"teachers are {_by_alpha(teachers)}")
    if len(students):
        top = students["temperature"].max()
        said.append(f"students at T = {top:g} are {_by_alpha(students[students['temperature'] == top])}")
    text = "; ".join(said)
    return text[0].upper() + text[1:]


def _by_alpha(bins: pd.DataFrame) -> str:
    """`2.0 points over-confident (α = 0) and 3.8 points under-confident (α = 0.1)`."""
    return listed([f"{_confidence(part)} ({part['alpha'].iloc[0]})" for _, part in bins.groupby("label_smoothing")])


def _confidence(bins: pd.DataFrame) -> str:
    """`3.8 points under-confident`, by mean confidence less accuracy."""
    gap = 100 * float(((bins["confidence"] - bins["accuracy"]) * bins["share"]).sum())
    if abs(gap) < WELL_CALIBRATED:
        return "well calibrated on average"
    return f"{fixed(abs(gap), 1)} points {'over' if gap > 0 else 'under'}-confident"


def _reliability_chart(data: pd.DataFrame, panels: list[str], labels: list[str], size: Size) -> object:
    panel = int((487 - 40) / len(panels) - 8) if size.paper else 150
    percent = json.dumps(["0", "50", "100 %"])
    axis = alt.Axis(values=[0, 0.5, 1], labelExpr=f"{percent}[round(datum.value * 2)]", grid=True)
    unit = alt.Scale(domain=[0, 1])
    scale = alt.Scale(domain=labels)
    legend = alt.Legend(orient="top")
    x = alt.X("confidence:Q", scale=unit, axis=axis, title="confidence")
    y = alt.Y("accuracy:Q", scale=unit, axis=axis, title="accuracy")
    colour = alt.Color("alpha:N", scale=scale, legend=legend)
    bins = (
        alt.Chart(data).transform_filter("datum.kind === 'bin' && datum.share >= 0.005").encode(x=x, y=y, color=colour)
    )
    diagonal = alt.Chart(data).transform_filter("datum.kind === 'diagonal'").mark_line(style="neutral").encode(x=x, y=y)
    shape = alt.Shape("alpha:N", scale=alt.Scale(domain=labels, range=shapes(len(labels))), legend=legend)
    tooltip = [
        alt.Tooltip("alpha:N", title="teacher"),
        alt.Tooltip("confidence:Q", format=".1%"),
        alt.Tooltip("accuracy:Q", format=".1%"),
        alt.Tooltip("share:Q", format=".1%", title="of predictions"),
    ]
    points = bins.mark_point(filled=True, opacity=1).encode(
        shape=shape,
        size=alt.Size(
            "share:Q", scale=alt.Scale(type="sqrt", range=[14 * size.scale, 95 * size.scale**2]), legend=None
        ),
        tooltip=tooltip,
    )
    return (
        alt.layer(diagonal, bins.mark_line(strokeWidth=1.5 * size.scale), points)
        .properties(width=panel, height=panel)
        .facet(column=alt.Column("panel:N", sort=panels), spacing=8 if size.paper else 14)
    )
