"""The tables of results: accuracy in the paper's shape, the paper's own beside it, cells, teachers, and what failed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from tosmooth.analysis.inference import Interval
from tosmooth.folder.columns import column
from tosmooth.losses.objectives import CONTROL_LOSSES, has_temperature
from tosmooth.report.paper import PaperTable, paper_tables
from tosmooth.report.paper_match import matching
from tosmooth.report.reading import StudyFiles
from tosmooth.report.tables import Column, Table, text_column
from tosmooth.tasks.metric import capital
from tosmooth.tasks.published import Published
from tosmooth.words.numbers import (
    MISSING,
    alpha_label,
    decimals_for,
    fixed,
    half_width,
    over_seeds,
    plus_minus,
    signed,
    temperature_label,
)
from tosmooth.words.students import without_teacher

MOST_IMAGES = 50  # that could not be read, as the page shows them; the table's CSV file has all


def accuracy_table(files: StudyFiles, setting: tuple[str, str], *, main: bool) -> Table | None:
    """The metric by T (rows) and α (columns), teachers first; last, the paired difference to α = 0."""
    column, metric = files.accuracy, files.metric
    if column is None:
        return None
    cells = files.cells_of(setting).dropna(subset=[column])
    both = ["teacher_seed", "seed"] if files.unit == "teacher_seed" else ["seed"]
    by_seed = cells.pivot_table(index="temperature", columns=["label_smoothing", *both], values=column)
    tempered = has_temperature(setting[0])
    alphas, temperatures = files.alphas, files.temperatures if tempered else [files.reference_temperature]

    def values(alpha: float, temperature: float) -> pd.Series:
        if temperature not in by_seed.index or alpha not in by_seed.columns.get_level_values(0):
            return pd.Series(dtype=float)
        return by_seed.loc[temperature, alpha].dropna()

    def over_units(students: pd.Series) -> Interval:
        return over_seeds(students.groupby(level=files.unit).mean() if len(students) else students)

    grid = {(a, t): over_units(values(a, t)) for a in alphas for t in temperatures}
    pair = (0.0, alphas[-1]) if alphas[0] == 0 and len(alphas) > 1 else None
    gaps: dict[float, Interval] = {}
    if pair:
        gaps = {t: over_units((values(pair[1], t) - values(pair[0], t)).dropna()) for t in temperatures}
    decimals = decimals_for([half_width(i) for i in grid.values()], otherwise=1, least=1, most=2)
    # Pairing makes the differences surer than the means: their column may hold more digits.
    gap_decimals = max(decimals, decimals_for([half_width(i) for i in gaps.values()], otherwise=decimals, most=2))
    teachers = _teacher_scores(files, column)
    shown = [text_column("", ["teacher", *(map(temperature_label, temperatures) if tempered else ["students"])])]
    for a in alphas:
        texts = [plus_minus(grid[a, t], decimals) for t in temperatures]
        shown.append(Column(alpha_label(a), [fixed(teachers.get(a), decimals), *texts]))
    if pair:
        teacher_gap = teachers.get(pair[1], math.nan) - teachers.get(pair[0], math.nan)
        texts = [plus_minus(gaps[t], gap_decimals, sign=True) for t in temperatures]
        shown.append(Column("difference", [signed(teacher_gap, decimals), *texts]))
    data = pd.DataFrame(
        {"label_smoothing": a, "temperature": t, "mean": i.mean, "low": i.low, "high": i.high, "n": i.n}
        for (a, t), i in grid.items()
    )
    several, word = len(files.units) > 1, files.unit_word
    bars = f"mean ± half of the 95 % interval over {len(files.units)} {word}s" if several else f"one {word}"
    paired = (
        f" The difference is α = {pair[1]:g} less α = 0" + (", paired by seed." if several else ".") if pair else ""
    )
    percent = f",{metric.in_percent}" if metric.unit else ""
    return Table(
        key=files.accuracy_keys[setting],
        caption=f"{capital(metric.quantity)}, {files.split_name} split{percent}: {bars} (objective {setting[0]}, "
        f"student {setting[1]}).{paired}{'' if tempered else ' It has no temperature.'}"
        f"{controls_note(files, setting[1], column, decimals)}",
        columns=shown,
        data=data,
    )


def controls_note(files: StudyFiles, student: str, column: str, decimals: int) -> str:
    """What students without a teacher reached, a sentence for each kind; empty where there are none."""
    text = ""
    for name, rows in files.controls_of(student):
        score = over_seeds(rows[column]) if column in rows else over_seeds([])
        if score.n:
            text += f" Trained {name}: {plus_minus(score, decimals)}{files.metric.unit}."
    return text


def _teacher_scores(files: StudyFiles, column: str) -> dict[float, float]:
    if column not in files.teachers:
        return {}
    means = files.teachers.dropna(subset=[column]).groupby("label_smoothing")[column].mean()
    return {float(alpha): float(value) for alpha, value in means.items()}


def published_tables(files: StudyFiles) -> list[Table]:
    """The paper's tables of the same kind of study, in the same shape.

    First the one of the main setting's data and models, beside which the user's own figures stand; then those of its
    other students; then those of nearer data, such as the same target language. None of a task that has none.
    """
    published = files.task.published
    if published is None:
        return []
    found = sorted(paper_tables(published), key=lambda table: not published.nearer(table.pair[0], files.config))
    matched = {table.pair: setting for setting in reversed(files.settings) if (table := matching(files, setting))}
    place = {pair: files.settings.index(setting) for pair, setting in matched.items()}
    found.sort(key=lambda table: place.get(table.pair, len(files.settings)))
    return [_beside(files, table, n, matched.get(table.pair), published) for n, table in enumerate(found)]


def _beside(
    files: StudyFiles, table: PaperTable, position: int, setting: tuple[str, str] | None, published: Published
) -> Table:
    students, metric = table.students, files.metric
    first, last = students.columns[0], students.columns[-1]
    shown = [text_column("", ["teacher", *[temperature_label(t) for t in students.index]])]
    shown += [
        Column(alpha_label(a), [fixed(table.teacher[a], 1), *[fixed(v, 1) for v in students[a]]]) for a in students
    ]
    gaps = [table.teacher[last] - table.teacher[first], *(students[last] - students[first])]
    shown.append(Column("difference", [signed(gap, 1) for gap in gaps]))
    selected = ", selected on the reported set" if published.selected else ""
    caption = f"{table.title}: {metric.quantity}{metric.in_percent}, as published (one run a cell{selected})."
    if setting is not None and files.accuracy is not None:
        cells, teachers = files.cells_of(setting), _teacher_scores(files, files.accuracy)
        means = cells.groupby(["label_smoothing", "temperature"])[files.accuracy].mean()
        for alpha in students:
            own = [teachers.get(alpha, math.nan), *(means.get((alpha, float(t)), math.nan) for t in students.index)]
            theirs = [table.teacher[alpha], *students[alpha]]
            less = [signed(mine - its, 1) for mine, its in zip(own, theirs, strict=True)]
            shown.append(Column(f"yours less it, {alpha_label(alpha)}", less))
        caption += " The last columns: your mean less the paper’s figure."
    return Table(f"paper-{position + 1}", caption, shown, students.reset_index())


def _figures_of(files: StudyFiles) -> list[tuple[str, str, int, float]]:
    """The columns of figures in a study's tables: name, title, decimals, factor."""
    return [
        (column(split, figure.name), f"{split} {figure.title}", figure.decimals, figure.factor)
        for figure in files.task.shown_figures
        for split in figure.on
    ]


def cells_table(files: StudyFiles) -> Table:
    """Every student, sortable: those of the grid, then those without a teacher."""
    cells = files.everyone
    figures, units = _figures_of(files), files.task.figure_units
    columns = [*grid_columns(cells), Column("seed", [f"{s:g}" for s in cells["seed"]], list(cells["seed"]))]
    if files.unit == "teacher_seed":
        columns += number_columns(cells, [("teacher_seed", "teacher seed", 0, 1)])
    if cells["student"].nunique() > 1:
        columns.append(text_column("student", list(cells["student"])))
    if (cells["status"] != "done").any():
        columns.append(text_column("status", list(cells["status"])))
    columns += number_columns(
        cells,
        [
            *figures,
            ("diffusion/eta_s1", "η similar", 3, 1),
            ("diffusion/eta_s2", "η dissimilar", 3, 1),
            ("selected_epoch", "epoch", 0, 1),
        ],
    )
    caption = " ".join(filter(None, ("Every student.", units, "Select a heading to sort.")))
    return Table("grid", caption, columns, cells, sortable=True)


def teachers_table(files: StudyFiles) -> Table | None:
    """Every teacher."""
    teachers = files.teachers
    if teachers.empty:
        return None
    figures, units = _figures_of(files), files.task.figure_units
    columns = [Column("α", [f"{a:g}" for a in teachers["label_smoothing"]], list(teachers["label_smoothing"]))]
    columns += number_columns(
        teachers,
        [
            ("seed", "seed", 0, 1),
            *figures,
            ("selected_epoch", "epoch", 0, 1),
        ],
    )
    return Table("teachers", f"The teachers. {units}".rstrip(), columns, teachers, sortable=True)


def grid_columns(frame: pd.DataFrame) -> list[Column]:
    """What each row's student learnt by: the objective where there are several, α of its teacher, and T."""
    alphas = list(frame["label_smoothing"])
    controls = [objective in CONTROL_LOSSES for objective in frame["objective"]]
    names = [
        without_teacher(alpha) if control else objective
        for control, objective, alpha in zip(controls, frame["objective"], alphas, strict=True)
    ]
    taught = [None if control else alpha for control, alpha in zip(controls, alphas, strict=True)]
    columns = [Column("α", [MISSING if a is None else f"{a:g}" for a in taught], taught), temperature_column(frame)]
    return [text_column("objective", names), *columns] if len(set(names)) > 1 else columns


def temperature_column(frame: pd.DataFrame) -> Column:
    """T of each row; `–` for objectives that have none, whatever their rows carry."""
    known = [has_temperature(objective) for objective in frame["objective"]]
    pairs = list(zip(known, frame["temperature"], strict=True))
    return Column("T", [f"{t:g}" if own else MISSING for own, t in pairs], [t if own else None for own, t in pairs])


def number_columns(frame: pd.DataFrame, wanted: Sequence[tuple[str, str, int, float]]) -> list[Column]:
    """Columns (name, title, decimals, factor) of a frame, those without any value left out."""
    columns = []
    for name, title, decimals, factor in wanted:
        if name not in frame or frame[name].isna().all():
            continue
        values = [factor * float(value) for value in frame[name]]
        columns.append(Column(title, [fixed(v, decimals) if math.isfinite(v) else MISSING for v in values], values))
    return columns


def failures_table(files: StudyFiles) -> Table | None:
    """Every student that failed, with its reason."""
    failed = files.failed
    if failed.empty:
        return None
    columns = [
        *grid_columns(failed),
        Column("seed", [f"{s:g}" for s in failed["seed"]]),
        text_column("reason", [_reason(*pair) for pair in zip(failed["cell"], failed["failure"], strict=True)]),
    ]
    wanted = ["cell", "label_smoothing", "temperature", "seed", "failure"]
    return Table("failures", "Students that failed, and why; no figure counts them.", columns, failed[wanted])


def _reason(cell: str, failure: str) -> str:
    """Without the cell's name, which the other columns say."""
    return failure.removeprefix(f"{cell}: ")


def unreadable_table(files: StudyFiles) -> Table | None:
    """The images that were left out because they could not be read."""
    images = [str(image) for image in files.unreadable]
    if not images:
        return None
    more = f" (the first {MOST_IMAGES} of {len(images)})" if len(images) > MOST_IMAGES else ""
    caption = f"Images that could not be read and were left out{more}."
    shown = text_column("image", images[:MOST_IMAGES])
    return Table("unreadable", caption, [shown], pd.DataFrame({"image": images}))
