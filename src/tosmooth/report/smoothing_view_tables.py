"""The tables of the three views: the teachers in all of them, who inherits calibration, and what objectives change."""

from __future__ import annotations

import math

import pandas as pd

from tosmooth.advice.inheritance import judge_inheritance
from tosmooth.advice.smoothing_views import judge_views
from tosmooth.analysis.inference import Interval
from tosmooth.losses.objectives import has_temperature, reference_objective
from tosmooth.report.figures.diffusion import declared_summary, summarised
from tosmooth.report.reading import StudyFiles
from tosmooth.report.results_tables import number_columns, temperature_column
from tosmooth.report.tables import Column, Table, text_column
from tosmooth.report.wording import beside_students
from tosmooth.words.conclusions import conclusions
from tosmooth.words.inheritance import inheritance_sentence
from tosmooth.words.numbers import (
    MISSING,
    between,
    decimals_for,
    fixed,
    half_width,
    p_text,
    plus_minus,
    quoted,
    signed,
    temperature_label,
)
from tosmooth.words.smoothing_views import view_sentences


def views_table(files: StudyFiles) -> Table | None:
    """Every teacher as Müller et al., Shen et al. and the paper see it, a row each."""
    if files.views.empty:
        return None
    teachers = files.views[files.views["role"] == "teacher"].reset_index(drop=True)
    if teachers.empty:
        return None
    columns = [Column("α", [f"{a:g}" for a in teachers["label_smoothing"]], list(teachers["label_smoothing"]))]
    if teachers["seed"].nunique() > 1:
        columns += number_columns(teachers, [("seed", "seed", 0, 1)])
    columns += number_columns(
        teachers,
        [
            ("compactness", "compactness", 3, 1),
            ("mi_similar", "information, similar", 2, 1),
            ("mi_dissimilar", "information, dissimilar", 2, 1),
            ("stability", "stability", 3, 1),
        ],
    )
    column = _diffusion(files, teachers)
    columns += [] if column is None else [column]
    columns += number_columns(teachers, [("smoothness", "γ, T = 1", 3, 1)])
    high = files.highest_temperature
    values = [_smoothness(files, name, high) for name in teachers["name"]]
    if high != 1 and any(math.isfinite(value) for value in values):
        columns.append(Column(f"γ, {temperature_label(high)}", [fixed(value, 3) for value in values], values))
    read = "cal/ece" in teachers and teachers["cal/ece"].notna().any()
    ece, nll = ("cal/ece", "test/nll") if read else ("cal/ece_val", "val/nll")
    columns += number_columns(teachers, [(ece, "ECE", 1, 100.0), (nll, "NLL", 3, 1)])
    return Table("views", _views_caption(files), columns, teachers)


def _diffusion(files: StudyFiles, teachers: pd.DataFrame) -> Column | None:
    """η similar − dissimilar of each teacher's students at the highest T, under `hinton` where that was run."""
    objectives = list(dict.fromkeys(files.cells["objective"]))
    objective = reference_objective(objectives)
    student = next(student for own, student in files.settings if own == objective)
    rows = declared_summary(files, (objective, student))
    found = [
        summarised(rows, "eta_s1-eta_s2", alpha, files.highest_temperature) for alpha in teachers["label_smoothing"]
    ]
    if all(interval is None for interval in found) or files.highest_temperature == files.reference_temperature:
        return None
    digits = decimals_for([half_width(i) for i in found if i is not None], otherwise=3, least=2)
    texts = [MISSING if i is None else plus_minus(i, digits, sign=True) for i in found]
    title = f"students’ η similar − dissimilar, {temperature_label(files.highest_temperature)}"
    title += f", {objective}" if len(objectives) > 1 else ""
    return Column(title, texts, [None if i is None else i.mean for i in found])


def _smoothness(files: StudyFiles, teacher: str, temperature: float) -> float:
    known = (files.views_info.get("smoothness") or {}).get(teacher) or {}
    return float(known.get(f"{temperature:g}", math.nan))


def _views_caption(files: StudyFiles) -> str:
    info = files.views_info
    parts = ["The teachers in all three views. Compactness: scatter within over between classes, lower is tighter."]
    if info.get("mi_images"):
        pairs = [" and ".join(quoted(name) for name in info.get(key) or []) for key in ("similar", "dissimilar")]
        parts.append(
            f"Information: what the logit difference of {pairs[0]} (similar) and of {pairs[1]} (dissimilar) tells "
            f"about which of {info['mi_images']} images was shown, in nats, at most {math.log(info['mi_images']):.2f}; "
            f"{info.get('mi_views')} views of each: {info.get('mi_augmentation')}."
        )
    parts.append(
        "Stability: nearer 1, answers within a class are more alike. γ: smoothness of the targets, 0 for one-hot and 1 "
        "for uniform ones. ECE in percent, NLL in nats."
    )
    return " ".join(parts)


def calibration_table(files: StudyFiles) -> Table | None:
    """ECE of teachers and students by α and T, and the students' paired gap to α = 0 beside the teachers'."""
    rows = files.inheritance
    if rows.empty:
        return None
    columns = []
    if len(files.settings) > 1:
        columns += [text_column("objective", list(rows["objective"])), text_column("student", list(rows["student"]))]
    columns += [
        Column("α", [f"{a:g}" for a in rows["label_smoothing"]], list(rows["label_smoothing"])),
        temperature_column(rows),
        *number_columns(
            rows,
            [
                ("teacher_ece", "teacher", 1, 100.0),
                ("ece", "students", 1, 100.0),
                ("teacher_gap", "teacher, less α = 0", 1, 100.0),
            ],
        ),
    ]
    if rows["gap"].notna().any():
        columns += [
            Column("students, less α = 0", _intervals(rows, ("gap", "low", "high"), 100), list(rows["gap"])),
            Column("p (Holm)", [p_text(p) for p in rows["p_holm"]], list(rows["p_holm"])),
            text_column("relation", list(rows["relation"])),
        ]
    caption = (
        "Calibration error (ECE) in percent of teachers and of their students; the students’ difference to α = 0 is "
        "paired by seed, with half of its 95 % interval. inherited: it has the teachers’ sign beyond chance."
    )
    return Table("calibration", caption, columns, rows, sortable=True)


def objectives_table(files: StudyFiles) -> Table | None:
    """What each other objective changes against the reference, in diffusion and in accuracy."""
    rows = files.objectives
    if rows.empty:
        return None
    reference = str(rows["reference"].iloc[0])
    columns = [
        text_column("objective", list(rows["objective"])),
        *([text_column("student", list(rows["student"]))] if rows["student"].nunique() > 1 else []),
        Column("α", [f"{a:g}" for a in rows["label_smoothing"]], list(rows["label_smoothing"])),
        temperature_column(rows),
        *number_columns(rows, [("reference_eta", f"η, {reference}", 3, 1)]),
        Column("η", _intervals(rows, ("eta", "eta_low", "eta_high"), 1), list(rows["eta"])),
        Column("change", _intervals(rows, ("change", "change_low", "change_high"), 1), list(rows["change"])),
        Column("p (Holm)", [p_text(p) for p in rows["p_holm"]], list(rows["p_holm"])),
    ]
    if rows["top1_change"].notna().any():
        columns += [
            Column(
                f"{files.metric.words} (points)", [signed(v, 1) for v in rows["top1_change"]], list(rows["top1_change"])
            ),
            Column(
                "95 % interval",
                [between(low, high, 1) for low, high in zip(rows["top1_low"], rows["top1_high"], strict=True)],
                list(rows["top1_low"]),
            ),
        ]
    columns.append(text_column("verdict", list(rows["verdict"])))
    caption = (
        f"Each other objective against {reference} at the same α, T and seeds, students of smoothed teachers. η is η "
        f"similar − η dissimilar; its change and that of validation {files.metric.words} are paired by seed, with 95 % "
        "intervals."
    )
    still = [name for name in dict.fromkeys(rows["objective"]) if not has_temperature(name)]
    caption += "".join(
        f" {name} has no temperature: it stands against {reference} at "
        f"{temperature_label(files.reference_temperature)}, of every teacher."
        for name in still
    )
    return Table("objectives", caption, columns, rows, sortable=True)


def _intervals(rows: pd.DataFrame, names: tuple[str, str, str], factor: float) -> list[str]:
    """`+0.12 ± 0.03` of each row, `–` where there is nothing."""
    mean, low, high = (factor * rows[name].astype(float) for name in names)
    made = [Interval(m, lo, hi, 0) for m, lo, hi in zip(mean, low, high, strict=True)]
    least = 1 if factor == 100 else 2
    digits = decimals_for([half_width(i) for i in made], otherwise=3 if factor == 1 else 1, least=least)
    return [plus_minus(i, digits, sign=True) if math.isfinite(i.mean) else MISSING for i in made]


def sentences(files: StudyFiles) -> list[tuple[str, str]]:
    """The three views in a sentence each, under the names of those who hold them."""
    if files.views.empty or not files.views_info:
        return []
    teachers, pair = files.views[files.views["role"] == "teacher"], files.views_info["similar"]
    said = view_sentences(judge_views(teachers), pair, files.task.samples, augmented=files.task.augmented)
    effect = conclusions(files.advice, beside_students(files)).get("effect", "Diffusion was not judged.")
    return [
        ("Erased information (Müller et al., 2019)", said["information"]),
        ("Stability (Shen et al., 2021)", said["stability"]),
        ("Systematic diffusion (the paper, 2022)", effect),
    ]


def inheritance(files: StudyFiles) -> str:
    """Whether calibration is inherited; empty where it was not asked."""
    if not files.views_info:
        return ""
    return inheritance_sentence(judge_inheritance(files.inheritance), files.inheritance)


def objectives_title(files: StudyFiles) -> str:
    """The question that the table of other objectives answers; without a temperature there is no drift over it."""
    if any(has_temperature(name) for name in files.objectives.get("objective", ())):
        return "Does another objective remove the drift?"
    return "What do students of the teacher’s translations learn instead?"
