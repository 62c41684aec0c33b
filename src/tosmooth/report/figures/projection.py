"""The projection panels in the paper's layout: a teacher row, then a row per T; without and with smoothing by split."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from tosmooth.report.figures.figure import Figure, Size
from tosmooth.report.figures.style import STAR
from tosmooth.report.reading import StudyFiles
from tosmooth.words.numbers import alpha_label, fixed, listed, quoted, temperature_label

SPLITS = {"train": "training", "val": "validation"}


def projection_figure(files: StudyFiles) -> Figure | None:
    """All panels; None where no projection was made."""
    if files.projection.empty:
        return None
    points = _panels(files)
    names = [str(name) for name in files.projection_info.get("names", [])] or sorted(points["class"].unique())
    rows = list(dict.fromkeys(points.sort_values(["teacher_last", "temperature"])["row"]))
    columns = list(dict.fromkeys(points.sort_values(["label_smoothing", "split"])["column"]))
    drawn = points[["row", "column", "class", "kind", "x", "y"]]

    def draw(size: Size) -> object:
        return _chart(drawn, names, rows, columns, size)

    plane = str(files.projection_info.get("plane", "algorithm 1"))
    seed = files.projection_info.get("seed")
    teacher_seed = files.projection_info.get("teacher_seed") if files.unit == "teacher_seed" else None
    which = f" Students of seed {seed}" if seed is not None else ""
    which += f", teachers of seed {teacher_seed}" if which and teacher_seed is not None else ""
    which += "." if which else ""
    splits = (
        "" if (points["split"] == "val").any() else " There is no validation split, so only training data is drawn."
    )
    left_out = len(files.shown_alphas) < len(files.alphas) or len(files.shown_temperatures) < len(files.temperatures)
    partly = " The grid has more α and T than are drawn; analysis/projection.csv has all." if left_out else ""
    return Figure(
        key="projection",
        finding=projection_finding(files),
        alt=f"Scatter panels of penultimate features of the classes {listed(names)}: {listed(rows)} by "
        f"{listed(columns)}. {projection_finding(files)}.",
        caption="Penultimate features projected onto the plane of three classes (two similar, one not; "
        + ("Algorithm 1 of the paper" if plane == "algorithm 1" else plane)
        + "). Stars are class centroids. Each model has its own plane and scale, shared by its "
        + f"splits.{which}{splits}{partly}",
        draw=draw,
        wide=True,
    )


def _panels(files: StudyFiles) -> pd.DataFrame:
    """The points with their panel. Every model is scaled to fill its panels, equally in x and y and on both splits."""
    shown = files.shown_temperatures
    frame = files.projection
    frame = frame[frame["label_smoothing"].isin(files.shown_alphas)]
    frame = frame[(frame["role"] == "teacher") | frame["temperature"].isin(shown)].copy()
    frame["class"] = frame["class_name"].astype(str)
    frame["teacher_last"] = frame["role"] != "teacher"
    frame["row"] = [
        "teacher" if role == "teacher" else temperature_label(t)
        for role, t in zip(frame["role"], frame["temperature"], strict=True)
    ]
    frame["column"] = [
        f"{alpha_label(a)}, {SPLITS.get(split, split)}"
        for a, split in zip(frame["label_smoothing"], frame["split"], strict=True)
    ]
    for index in frame.groupby(["role", "name"]).groups.values():
        xy = frame.loc[index, ["x", "y"]].to_numpy(dtype=float)
        low, high = xy.min(0), xy.max(0)
        frame.loc[index, ["x", "y"]] = np.round((xy - (low + high) / 2) / max(float((high - low).max()), 1e-12) * 2, 3)
    return frame


def projection_finding(files: StudyFiles) -> str:
    """How far apart the two similar centroids lie, relative to the third class, at the lowest and highest T."""
    info, frame = files.projection_info, files.projection
    if len(info.get("similar", [])) != 2 or len(info.get("names", [])) != 3:
        return "Penultimate features of three classes, teachers and students"
    smoothed = [a for a in files.alphas if a > 0] or files.alphas
    ends = (files.reference_temperature, files.highest_temperature)
    gaps = [_relative_gap(frame, info, alpha=smoothed[-1], temperature=t) for t in ends]
    pair = f"{quoted(info['names'][0])} and {quoted(info['names'][1])}"
    if gaps[0] is None or gaps[1] is None or ends[0] == ends[1]:
        return f"Penultimate features of {pair} (similar) and {quoted(info['names'][2])}, teachers and students"
    first, last = fixed(gaps[0], 2), fixed(gaps[1], 2)
    verb = "stays" if first == last else "shrinks" if gaps[1] < gaps[0] else "grows"
    numbers = f"at {first}" if first == last else f"from {first} to {last}"
    return (
        f"The gap between {pair} {verb} {numbers} of their distance to {quoted(info['names'][2])} "
        f"from T = {ends[0]:g} to T = {ends[1]:g} (α = {smoothed[-1]:g}, training)"
    )


def _relative_gap(frame: pd.DataFrame, info: dict[str, Any], *, alpha: float, temperature: float) -> float | None:
    stars = frame[
        (frame["role"] == "student")
        & (frame["kind"] == "centroid")
        & (frame["split"] == "train")
        & (frame["label_smoothing"] == alpha)
        & (frame["temperature"] == temperature)
    ].drop_duplicates("class_index")
    at = {int(row["class_index"]): np.array([row["x"], row["y"]], dtype=float) for _, row in stars.iterrows()}
    if len(at) < 3:
        return None
    one, two = (at[int(index)] for index in info["similar"])
    other = at[int(info["other"])]
    return float(np.linalg.norm(one - two) / ((np.linalg.norm(one - other) + np.linalg.norm(two - other)) / 2))


def _chart(points: pd.DataFrame, names: list[str], rows: list[str], columns: list[str], size: Size) -> object:
    panel = int((487 - 34) / len(columns) - 8) if size.paper else min(190, int((1020 - 40) / len(columns)) - 8)
    reach = max(0.4, float(points["y"].abs().max()))  # flat clouds get flat panels; a unit stays as long in x as in y
    legend = alt.Legend(orient="top", symbolOpacity=1)
    colour = alt.Color("class:N", scale=alt.Scale(domain=names, range="ordinal"), legend=legend)
    base = alt.Chart(points).encode(
        x=alt.X("x:Q", axis=None, scale=alt.Scale(domain=[-1.12, 1.12])),
        y=alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[-reach - 0.12, reach + 0.12])),
        color=colour,
    )
    shapes = alt.Scale(domain=names, range=["circle", "triangle-up", "square"])
    dots = (
        base.transform_filter("datum.kind === 'point'")
        .mark_point(filled=True, size=20 * size.scale**2, opacity=0.5)
        .encode(shape=alt.Shape("class:N", scale=shapes, legend=legend))
    )
    stars = (
        base.transform_filter("datum.kind === 'centroid'")
        .mark_point(shape=STAR, filled=True, size=260 * size.scale**2, opacity=1, style="halo")
        .encode(tooltip=[alt.Tooltip("class:N", title="centroid of")])
    )
    return (
        alt.layer(dots, stars)
        .properties(width=panel, height=round(panel * (reach + 0.12) / 1.12))
        .facet(
            row=alt.Row("row:N", sort=rows, header=alt.Header(labelOrient="left", labelAngle=-90, labelAlign="center")),
            column=alt.Column("column:N", sort=columns),
            spacing=4 if size.paper else 8,
        )
    )
