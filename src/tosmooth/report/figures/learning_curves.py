"""The metric after each epoch: the recommended setting, the best of the other side, and students without a teacher."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from tosmooth.advice.comparisons import KEY
from tosmooth.errors import StudyError
from tosmooth.folder.curves import read_curve
from tosmooth.folder.paths import CURVE_FILE, StudyDirectory
from tosmooth.folder.sums import check_model_file
from tosmooth.losses.objectives import has_temperature
from tosmooth.report.figures.figure import Figure, Size
from tosmooth.report.figures.lines import LABEL_LINE, laid_out, spread
from tosmooth.report.figures.style import shapes
from tosmooth.report.reading import StudyFiles
from tosmooth.tasks.metric import capital
from tosmooth.untrusted import is_folder_name
from tosmooth.words.numbers import alpha_label, count_of, fixed, signed, temperature_label

HEIGHT = 260  # on the screen
MOST_MARKED = 12  # epochs that are marked one by one


@dataclass(frozen=True)
class Curve:
    """The mean over a setting's students, from epoch 1 on; `alpha` is None of students without a teacher."""

    label: str
    alpha: float | None
    means: tuple[float, ...]
    students: int


def learning_curves_figure(files: StudyFiles) -> Figure | None:
    """Validation figures by epoch; None without advice, without validation, and where no curve was kept."""
    chosen, metric = files.advice.get("recommendation"), files.metric.judged_by
    if not isinstance(chosen, Mapping) or metric.val not in files.done or files.done[metric.val].isna().all():
        return None
    curves = _curves(files, chosen)
    if not curves or len(curves[0].means) < 2:
        return None
    last = curves[0].means[-1] - curves[0].means[-2]
    epochs = len(curves[0].means)
    points = " points" if metric.unit else ""
    described = "; ".join(f"{c.label}: " + ", ".join(fixed(value, 1) for value in c.means) for c in curves)
    counted = ", ".join(f"{c.label}: {count_of(c.students, 'student')}" for c in curves)

    def draw(size: Size) -> object:
        return _chart(curves, files.alphas, f"{capital(metric.quantity)}, validation", size)

    return Figure(
        key="learning-curves",
        finding=f"The last of {epochs} epochs changed the recommended setting by {signed(last, 1)}{points} on "
        "validation",
        alt=f"Line chart of {metric.quantity} on validation data by epoch. {described}.",
        caption=f"{capital(metric.quantity)} on validation after each epoch, mean over students ({counted}): the "
        "recommended setting, the best one of the other side of the question, and students without a teacher where "
        "there are any. A line that still climbs at its end would go on with longer training.",
        draw=draw,
    )


def _curves(files: StudyFiles, chosen: Mapping[str, Any]) -> list[Curve]:
    """The recommended setting first; no others without it."""
    groups: list[tuple[str, float | None, pd.DataFrame]] = []
    for setting in filter(None, (chosen, _other_side(files, chosen))):
        alpha, name = float(setting["label_smoothing"]), alpha_label(float(setting["label_smoothing"]))
        if has_temperature(setting["objective"]):
            name += f", {temperature_label(float(setting['temperature']))}"
        groups.append((name, alpha, files.of_setting(setting)))
    groups += [(name, None, rows) for name, rows in files.controls_of(str(chosen.get("student")))]
    found = [_mean_curve(files, *group) for group in groups]
    return [curve for curve in found if curve is not None] if found[0] is not None else []


def _other_side(files: StudyFiles, chosen: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The best setting on the other side of whether to smooth; None where there is one side."""
    smooth = (files.answer or {}).get("smooth") or {}
    other = smooth.get("unsmoothed" if chosen["label_smoothing"] > 0 else "smoothed") or {}
    return other if all(key in other for key in KEY) else None


def _mean_curve(files: StudyFiles, label: str, alpha: float | None, rows: pd.DataFrame) -> Curve | None:
    found = [own for name in map(str, rows["cell"]) if (own := _curve(files, name))]
    if not found:
        return None
    shortest = min(map(len, found))
    means = np.mean([own[:shortest] for own in found], axis=0)
    return Curve(label, alpha, tuple(float(value) for value in means), len(found))


def _curve(files: StudyFiles, name: str) -> list[float]:
    """Of one student; empty where there is none that can be used, which no conclusion needs.

    Raises:
        StudyError: it is not what the study wrote, and might be taken for another one.
    """
    if not is_folder_name(name):
        return []
    file = StudyDirectory(files.path).student(name) / CURVE_FILE
    check_model_file(file)
    try:
        return read_curve(file, "", files.metric.judged_by.val) if file.is_file() else []
    except StudyError:
        return []


def _chart(curves: list[Curve], alphas: list[float], title: str, size: Size) -> Any:
    height = 130 if size.paper else HEIGHT
    values = [value for curve in curves for value in curve.means]
    margin = 0.06 * (max(values) - min(values)) or 1.0
    low, high = min(values) - margin, max(values) + margin
    epochs = max(len(curve.means) for curve in curves)
    step = max(1, round(epochs / 8))
    names = [alpha_label(alpha) for alpha in alphas]
    rows = pd.DataFrame(
        {
            "epoch": epoch,
            "mean": value,
            "series": curve.label,
            "shown": fixed(value, 1),
            "alpha": "" if curve.alpha is None else alpha_label(curve.alpha),
        }
        for curve in curves
        for epoch, value in enumerate(curve.means, 1)
    )
    ends: list[dict[str, Any]] = [
        {"epoch": epochs, "mean": curve.means[-1], "series": curve.label}
        | {"alpha": "" if curve.alpha is None else alpha_label(curve.alpha)}
        for curve in curves
    ]
    spread(ends, LABEL_LINE * (high - low) / (height / size.scale))
    x = alt.X(
        "epoch:Q",
        scale=alt.Scale(domain=[1 - 0.04 * epochs, epochs], nice=False, zero=False),
        axis=alt.Axis(title="Epoch", values=list(range(1, epochs + 1, step)), format="d", grid=False),
    )
    y = alt.Y(
        "mean:Q",
        scale=alt.Scale(domain=[low, high], nice=False, zero=False),
        axis=alt.Axis(title=title, tickCount=5),
    )
    colour = alt.Color("alpha:N", scale=alt.Scale(domain=names), legend=None)
    shape = alt.Shape("alpha:N", scale=alt.Scale(domain=names, range=shapes(len(names))), legend=None)
    tooltip = [
        alt.Tooltip("series:N", title="line"),
        alt.Tooltip("epoch:Q", title="epoch"),
        alt.Tooltip("shown:N", title="mean"),
    ]
    layers = []
    labels = pd.DataFrame(ends)
    for taught in (False, True):
        own, at_end = (frame[(frame["alpha"] != "") == taught] for frame in (rows, labels))
        if own.empty:
            continue
        line = alt.Chart(own).encode(x=x, y=y, detail="series:N")
        text = alt.Chart(at_end).encode(x=x, y=y, text="series:N")
        place = {"align": "left", "baseline": "middle", "dx": 10 * size.scale}
        if taught:
            layers += [
                line.mark_line().encode(color=colour),
                text.mark_text(**place, style="end-label").encode(color=colour),
            ]
            if epochs <= MOST_MARKED:
                points = line.mark_point(filled=True, opacity=1, size=75 * size.scale**2)
                layers.append(points.encode(color=colour, shape=shape, tooltip=tooltip))
        else:
            layers.append(line.mark_line(style="neutral", strokeDash=[4, 3]).encode(tooltip=tooltip))
            layers.append(text.mark_text(**place, style="neutral", strokeWidth=0))
    return laid_out(layers, ends, height, size)
