"""η of every class at the highest temperature: which classes drift, and which do not."""

from __future__ import annotations

import math

import altair as alt
import pandas as pd

from tosmooth.report.figures.figure import Figure, Size
from tosmooth.report.figures.style import shapes
from tosmooth.report.reading import StudyFiles
from tosmooth.words.numbers import alpha_label, fixed, listed, quoted, temperature_label


def class_figure(files: StudyFiles, most: int = 24) -> Figure | None:
    """η_S1 of every class at the highest T, a dot per α; with many classes, those that differ most between α."""
    top = files.highest_temperature
    rows = files.classes
    if rows.empty or top == files.reference_temperature:
        return None
    rows = files.part_of(rows, files.settings[0])
    rows = rows[(rows["split"] == "train") & (rows["temperature"] == top)]
    rows = rows.dropna(subset=["eta_s1"])
    if rows.empty:
        return None
    means = rows.pivot_table(index="class_index", columns="label_smoothing", values="eta_s1")
    names = rows.drop_duplicates("class_index").set_index("class_index")["class_name"].astype(str)
    names = names.where(~names.duplicated(keep=False), names + " (" + names.index.astype(str) + ")")
    last = means.columns[-1]
    compared = 0.0 in means and last != 0.0
    gap = means[last] - means[0.0] if compared else means[last]
    order = gap.sort_values(ascending=False).index
    shown = gap.abs().sort_values(ascending=False).index[:most]
    order = [index for index in order if index in set(shown)]
    data = [
        {"class": names[i], "alpha": alpha_label(float(a)), "eta": means.loc[i, a], "shown": fixed(means.loc[i, a], 3)}
        for i in order
        for a in means.columns
        if math.isfinite(means.loc[i, a])
    ]
    labels = [alpha_label(a) for a in files.alphas]

    def draw(size: Size) -> object:
        return _class_chart(pd.DataFrame(data), [str(names[i]) for i in order], labels, size)

    mean_text = listed([f"{fixed(float(means[a].mean()), 3)} for {alpha_label(float(a))}" for a in means.columns])
    left_out = len(means) - len(order)
    partly = f" The {len(order)} classes that differ most are drawn, {left_out} are left out." if left_out else ""
    return Figure(
        key="classes",
        finding=_class_finding(means, names, gap, top),
        alt=f"Dot chart of η towards similar classes at T = {top:g}, by class; mean over classes {mean_text}.",
        caption=f"η towards each class's similar classes at {temperature_label(top)}, mean over seeds, training "
        f"features.{partly} Sorted by {'the difference to α = 0' if compared else 'η'}. "
        "Single classes are noisier than the mean: read this as a description of these students.",
        draw=draw,
    )


def _class_finding(means: pd.DataFrame, names: pd.Series, gap: pd.Series, top: float) -> str:
    last = float(means.columns[-1])
    widest = means[last].idxmax()
    text = (
        f"At T = {top:g}, {quoted(names[widest])} moves most towards its similar classes "
        f"(η = {fixed(float(means[last].max()), 2)}, α = {last:g})"
    )
    if 0.0 in means and last != 0.0:
        text += f"; {int((gap > 0).sum())} of {len(gap.dropna())} classes move more than without smoothing"
    return text


def _class_chart(data: pd.DataFrame, order: list[str], labels: list[str], size: Size) -> object:
    step = 10 if size.paper else 24
    legend = alt.Legend(orient="top")
    scale = alt.Scale(domain=labels)
    y = alt.Y("class:N", sort=order, axis=alt.Axis(title=None, labelLimit=70 if size.paper else 130, grid=True))
    x = alt.X(
        "eta:Q", axis=alt.Axis(title="η towards similar classes", grid=False, tickCount=5), scale=alt.Scale(zero=True)
    )
    base = alt.Chart(data).encode(y=y)
    zero = alt.Chart().mark_rule(style="neutral").encode(x=alt.XDatum(0))
    span = base.mark_rule(style="neutral").encode(x=alt.X("min(eta):Q"), x2="max(eta):Q")
    dots = base.mark_point(filled=True, opacity=1, size=85 * size.scale**2).encode(
        x=x,
        color=alt.Color("alpha:N", scale=scale, legend=legend),
        shape=alt.Shape("alpha:N", scale=alt.Scale(domain=labels, range=shapes(len(labels))), legend=legend),
        tooltip=[alt.Tooltip("class:N"), alt.Tooltip("alpha:N", title="teacher"), alt.Tooltip("shown:N", title="η")],
    )
    return alt.layer(zero, span, dots).properties(
        width=size.width or "container",
        height=max(60, step * len(order)),
        view=alt.ViewBackground(stroke=None),
        padding={"left": 2, "top": 5, "right": 6 if size.paper else 12, "bottom": 2},
        autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
    )
