"""The tables of evidence: what else is as good, diffusion over seeds and by class, how η depends on its form, and which
classes were taken for similar.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from tosmooth.advice.comparisons import KEY
from tosmooth.advice.until_sure import looked_of
from tosmooth.report.figures.diffusion import declared_summary
from tosmooth.report.reading import StudyFiles
from tosmooth.report.results_tables import grid_columns
from tosmooth.report.tables import Column, Table, text_column
from tosmooth.words.answer import SPLITS
from tosmooth.words.numbers import (
    MISSING,
    alpha_label,
    between,
    decimals_for,
    fixed,
    half_width,
    interval_of,
    p_text,
    plus_minus,
    signed,
    temperature_label,
)

QUANTITIES = {
    "eta_s1": "η similar",
    "eta_s2": "η dissimilar",
    "eta_s1-eta_s2": "similar − dissimilar",
    "contrast": "the same, less α = 0",
}
NORMALISATIONS = {"mean_distance": "mean distance (declared)", "within_spread": "within-class spread", "none": "none"}
MOST_NAMES = 8  # similar classes listed in a cell of the table; the CSV file has all of them


RELATIONS = {"best": "best", "tied": "as good", "worse": "worse", "undecided": "open", "unlike": "not trained alike"}


def comparisons_table(files: StudyFiles) -> Table | None:
    """Every setting against the best one, on the split that the answer is of; of one seed, on validation by samples."""
    facts = files.answer
    if facts is None or facts["units"] < 2:
        return _by_samples(files)
    frame = pd.DataFrame(facts["settings"]).sort_values("behind", kind="stable").reset_index(drop=True)
    sides = {"behind": "difference", "behind_low": "low", "behind_high": "high"}
    frame = frame.drop(columns=["low", "high"]).rename(columns=sides)
    if "alike" in frame:
        unlike = ~frame["alike"].astype(bool) & (frame["relation"] == "undecided")
        frame["relation"] = frame["relation"].mask(unlike, "unlike")
    sure = 100 * looked_of(facts.get("until_sure")).confidence
    risk = pd.to_numeric(frame["expected_loss"]).to_numpy(dtype=float)
    columns = [*_gap_columns(files, frame, sure)]
    if not pd.isna(risk).all():
        columns.append(Column("expected loss", [fixed(value, 2) for value in risk], list(risk)))
    margin, split = facts["margin"], SPLITS[facts["split"]]
    caption = (
        f"Every setting against the best one here, {split} {files.metric.words}, over {len(files.units)} "
        f"{files.unit_word}s. worse: not among those that may be the best, with {sure:.3g} % confidence for all "
        f"settings at once (Hsu); as good: within {margin:g} points of the best in the same sense; open: neither. "
        "Intervals are of one difference each. Expected loss: points that choosing it costs on average against knowing "
        "the best."
    )
    return Table("comparisons", caption, columns, frame, sortable=True)


def _by_samples(files: StudyFiles) -> Table | None:
    """The recommended setting's one student against the others', on the same validation samples."""
    rows = files.advice.get("comparisons") or []
    if not rows:
        return None
    frame = pd.DataFrame(rows).sort_values("difference", kind="stable").reset_index(drop=True)
    columns = _gap_columns(files, frame)
    corrected = pd.to_numeric(frame.get("p_holm", math.nan))
    columns.append(Column("p (Holm)", [p_text(p) for p in corrected], list(corrected)))
    margin, test = files.advice.get("margin"), files.metric.compared_by
    over = next((unit for unit in frame.get("unit", ()) if unit != "seeds"), None)
    how = (
        f"one seed each, so compared on the same validation {over} ({test.name}; the interval is a bootstrap over "
        f"{over}): this speaks for these very students, not for new seeds"
        if over is not None and test is not None
        else f"paired by {files.unit_word}"
    )
    caption = (
        f"Every setting against the recommended one, validation {files.metric.words}, {how}. worse: shown beyond "
        f"chance; {f'as good: the interval lies within ± {margin:g} points; ' if margin is not None else ''}open: "
        "neither shown."
    )
    return Table("comparisons", caption, columns, frame, sortable=True)


def _gap_columns(files: StudyFiles, frame: pd.DataFrame, sure: float = 95) -> list[Column]:
    """Relation, setting, and how far each is from the best, with its interval; from `difference`, `low` and `high`.

    `sure`: the confidence of the interval, in percent.
    """
    for column in ("difference", "low", "high"):
        frame[column] = pd.to_numeric(frame.get(column, math.nan))
    best = frame["relation"] == "best"
    digits = decimals_for(((frame["high"] - frame["low"]) / 2)[~best], otherwise=1, least=1, most=2)
    # The file says how much worse a setting is; the table, how its figures differ: worse accuracy is less, worse
    # perplexity is more.
    sides = ("low", "high") if files.metric.lower_is_better else ("high", "low")
    changes, low, high = (-files.metric.sign * frame[name] for name in ("difference", *sides))
    differences = [MISSING if b else signed(d, digits) for b, d in zip(best, changes, strict=True)]
    intervals = [
        MISSING if b else between(*ends, digits) for b, ends in zip(best, zip(low, high, strict=True), strict=True)
    ]
    chosen = files.advice.get("recommendation") or {}
    names = [
        RELATIONS.get(str(row["relation"]), str(row["relation"]))
        + (", recommended" if all(row[key] == chosen.get(key) for key in KEY) else "")
        for _, row in frame.iterrows()
    ]
    columns = [text_column("relation", names), *grid_columns(frame)]
    if frame["student"].nunique() > 1:
        columns.append(text_column("student", list(frame["student"])))
    return [
        *columns,
        Column("difference (points)", differences, list(changes)),
        Column(f"{sure:.3g} % interval", intervals, list(low)),
    ]


def diffusion_table(files: StudyFiles, setting: tuple[str, str] | None = None) -> Table | None:
    """η over units in its declared form for one student model, by α and T, with the contrast to α = 0."""
    setting = setting or files.settings[0]
    rows = declared_summary(files, setting)
    if rows.empty:
        return None
    rows = rows[rows["temperature"] > files.reference_temperature]
    settings = list(rows.groupby(["label_smoothing", "temperature"]).groups)
    if not settings:
        return None
    digits = decimals_for([half_width(interval_of(row)) for _, row in rows.iterrows()], otherwise=3, least=2, most=4)
    columns = [
        Column("α", [f"{a:g}" for a, _ in settings], [a for a, _ in settings]),
        Column("T", [f"{t:g}" for _, t in settings], [t for _, t in settings]),
    ]
    indexed = rows.set_index(["quantity", "label_smoothing", "temperature"])
    last = "eta_s1-eta_s2"
    for quantity, title in QUANTITIES.items():
        if quantity not in set(rows["quantity"]):
            continue
        last = quantity
        found = [indexed.loc[(quantity, *s)] if (quantity, *s) in indexed.index else None for s in settings]
        texts = [MISSING if row is None else plus_minus(interval_of(row), digits, sign=True) for row in found]
        columns.append(Column(title, texts, [None if row is None else float(row["mean"]) for row in found]))
    p_values = [float(indexed.loc[(last, *s), "p"]) if (last, *s) in indexed.index else None for s in settings]
    columns.append(Column("p", [p_text(p) for p in p_values], p_values))
    units, word = int(rows["n"].max()), files.unit_word
    which = f" (student {setting[1]})" if len(files.diffusion_keys) > 1 else ""
    bars = (
        f"mean ± half of the 95 % t-interval over {units} {word}s; p: exact sign-flip test of the last quantity"
        if units > 1
        else f"one {word}"
    )
    return Table(
        files.diffusion_keys[setting],
        f"Diffusion index η on training features, {bars}{which}.",
        columns,
        rows[["label_smoothing", "temperature", "quantity", "n", "mean", "low", "high", "p"]],
        sortable=True,
    )


def sensitivity_table(files: StudyFiles) -> Table | None:
    """η_S1 − η_S2 (or its contrast to α = 0) at the highest T under every form of η: does the sign survive?"""
    rows = files.summary
    if rows.empty:
        return None
    quantity = "contrast" if (rows["quantity"] == "contrast").any() else "eta_s1-eta_s2"
    rows = files.part_of(rows, files.settings[0])
    rows = rows[
        (rows["quantity"] == quantity)
        & (rows["temperature"] == files.highest_temperature)
        & (rows["label_smoothing"] > 0)
    ]
    if rows.empty or files.highest_temperature == files.reference_temperature:
        return None
    order = {name: position for position, name in enumerate(NORMALISATIONS)}
    keys = ["label_smoothing", "split", "rank", "debiased"]
    rows = rows.assign(rank=rows["normalisation"].map(order)).sort_values(keys)
    texts = []
    for _, row in rows.iterrows():
        interval = interval_of(row)
        texts.append(plus_minus(interval, decimals_for([half_width(interval)], otherwise=3, least=2), sign=True))
    columns = [
        text_column("normalised by", [NORMALISATIONS.get(n, n) for n in rows["normalisation"]]),
        text_column("debiased", ["yes" if d else "no" for d in rows["debiased"].astype(bool)]),
        text_column("features", ["training" if s == "train" else "validation" for s in rows["split"]]),
        text_column("α", [f"{a:g}" for a in rows["label_smoothing"]]),
        Column(
            QUANTITIES["eta_s1-eta_s2"] + (", less α = 0" if quantity == "contrast" else ""), texts, list(rows["mean"])
        ),
        Column("p", [p_text(p) for p in rows["p"]], list(rows["p"])),
    ]
    caption = (
        f"How the finding on diffusion depends on the form of η, at {temperature_label(files.highest_temperature)}. "
        "The first form was declared in advance; the others show whether its sign survives. A debiased distance takes "
        "out what the scatter within classes adds to the distance of their centroids."
    )
    return Table("sensitivity", caption, columns, rows.drop(columns="rank"), sortable=True)


def class_table(files: StudyFiles) -> Table | None:
    """η towards similar classes by class at the highest T, and which classes those are."""
    rows = files.classes
    if rows.empty or files.highest_temperature == files.reference_temperature:
        return None
    rows = files.part_of(rows, files.settings[0])
    rows = rows[(rows["split"] == "train") & (rows["temperature"] == files.highest_temperature)]
    if rows.empty:
        return None
    means = rows.pivot_table(index="class_index", columns="label_smoothing", values=["eta_s1", "eta_s2"], dropna=False)
    names = rows.drop_duplicates("class_index").set_index("class_index")["class_name"]
    columns = [text_column("class", [names[i] for i in means.index])]
    all_names = [str(name) for name in files.similarity.get("classes", [])]
    similar = files.similarity.get("similar", {})
    if all_names:
        listing = [", ".join(all_names[k] for k in similar.get(str(i), [])[:5]) for i in means.index]
        columns.append(text_column("similar classes", listing))
    for quantity, title in (("eta_s1", "η similar"), ("eta_s2", "η dissimilar")):
        for alpha in sorted(set(rows["label_smoothing"])):
            if (quantity, alpha) not in means:
                continue
            values = [float(v) for v in means[quantity, alpha]]
            columns.append(Column(f"{title}, {alpha_label(float(alpha))}", [fixed(v, 3) for v in values], values))
    caption = f"η by class at {temperature_label(files.highest_temperature)}, mean over seeds, training features."
    return Table("classes", caption, columns, rows, sortable=True)


def similarity_table(files: StudyFiles) -> Table | None:
    """S1(π) and S2(π) of each class as used, and S1(π) by the other sources that the study had at hand."""
    found = files.similarity
    classes = [str(name) for name in found.get("classes", [])]
    if not classes or "dissimilar_source" not in found:  # of an older study: its classes stand in the table of η
        return None
    compared = [part for part in found.get("compared", []) if isinstance(part, dict)]
    sets = [("similar", found.get("similar", {})), ("dissimilar", found.get("dissimilar", {}))]
    sets += [(f"similar by the {part.get('source', '')}", part.get("similar", {})) for part in compared]
    columns: list[Column] = [text_column("class", classes)]
    data = {"class_name": classes}
    for title, members in sets:
        listing = [_named(members, index, classes) for index in range(len(classes))]
        columns.append(text_column(title, [_shortened(names) for names in listing]))
        data[title] = ["; ".join(names) for names in listing]
    caption = f"Similar classes (S1) by the {found.get('source', '')}; dissimilar (S2): {found['dissimilar_source']}."
    caption += "".join(f" {_agreement(part)}" for part in compared)
    return Table("similar-classes", caption, columns, pd.DataFrame(data), sortable=True)


def _named(members: Any, index: int, classes: list[str]) -> list[str]:
    return [classes[k] for k in members.get(str(index), [])]


def _shortened(names: list[str]) -> str:
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _agreement(part: Mapping[str, Any]) -> str:
    share, chance = part.get("share"), part.get("chance")
    if not isinstance(share, int | float) or not isinstance(chance, int | float):
        return ""
    return (
        f"Of the pairs used, {100 * share:.0f} % are also similar by the {part.get('source', '')}; "
        f"chance would give {100 * chance:.0f} %."
    )
