"""The summary a study ends with on the terminal: the sentence, the grid, and where the report is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from tosmooth.advice.advise import answer_of
from tosmooth.advice.units import by_unit, unit_of, unit_word
from tosmooth.analysis.inference import t_interval
from tosmooth.folder.paths import StudyDirectory
from tosmooth.folder.results import StudyResults
from tosmooth.tasks.find import traits_of
from tosmooth.tasks.metric import Metric
from tosmooth.terminal import markup, quoted
from tosmooth.words.answer import Answer, answers, forwarded
from tosmooth.words.conclusions import conclusions
from tosmooth.words.settings import written
from tosmooth.words.students import without_teacher
from tosmooth.words.wording import Wording, wording_of


def _column(alpha: float, smoothing: str | None) -> str:
    return "teacher" if smoothing == "unknown" else f"teacher α = {alpha:g}"


def grid_table(cells: pd.DataFrame, metric: str, title: str, smoothing: str | None = None) -> Table:
    """Temperatures as rows, α as columns, mean ± 95 % half-width over units."""
    keys = ["objective", "student", "label_smoothing", "temperature"]
    done = by_unit(cells[cells.status == "done"], [metric], keys, unit=unit_of(cells))
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 2))
    varied = [key for key in ("student", "objective") if done[key].nunique() > 1]
    for key in varied:
        table.add_column(key)
    table.add_column("T", justify="right")
    alphas = sorted(done.label_smoothing.unique())
    for alpha in alphas:
        table.add_column(_column(alpha, smoothing), justify="right")
    for (student, objective, temperature), rows in done.groupby(["student", "objective", "temperature"]):
        identity = {"student": student, "objective": objective}
        values = (rows[rows.label_smoothing == alpha][metric].to_numpy(dtype=float) for alpha in alphas)
        finite = (numbers[np.isfinite(numbers)] for numbers in values)
        texts = [written(t_interval(numbers)) if len(numbers) else "–" for numbers in finite]
        table.add_row(*(markup(identity[key]) for key in varied), f"{temperature:g}", *texts)
    return table


def headline_of(results: StudyResults) -> str | None:
    """What a study says to do, in one sentence; None where it was not advised yet."""
    facts, wording = _answer(results, traits_of(results.config.get("task"), results.advice).metric)
    return None if facts is None else forwarded(facts, wording)


def answers_of(results: StudyResults) -> list[Answer]:
    """Its answers, question by question; empty where it was not advised yet."""
    facts, wording = _answer(results, traits_of(results.config.get("task"), results.advice).metric)
    return [] if facts is None else answers(facts, wording)


def conclusions_of(results: StudyResults) -> dict[str, str]:
    """What it concludes beside its answer: a sentence by "effect", "consequence" and "rule", for each that has one."""
    _, wording = _answer(results, traits_of(results.config.get("task"), results.advice).metric)
    return conclusions(results.advice or {}, wording)


def _answer(results: StudyResults, metric: Metric) -> tuple[dict[str, Any] | None, Wording]:
    facts = answer_of(results.advice, results.verdict, results.cells, results.controls, metric)
    preview = bool(results.config.get("preview"))
    return facts, wording_of(results.advice or {}, results.cells, metric, preview=preview)


def print_summary(results: StudyResults, console: Console) -> None:
    """Print the answer, the grid, and the report's path."""
    console.print()
    word = unit_word(results.cells)
    metric = traits_of(results.config.get("task"), results.advice).metric
    facts, wording = _answer(results, metric)
    if facts is not None:
        console.print(f"[bold]{markup(forwarded(facts, wording))}[/bold]")
        for one in answers(facts, wording):
            console.print(f"[bold]{markup(one.question)}[/bold] {markup(f'{one.verdict}. {one.sentence}')}")
    for text in conclusions_of(results).values():
        console.print(markup(text))
    console.print()
    column, unit = metric.test, f",{metric.unit}" if metric.unit else ""
    smoothing = (results.config.get("teacher") or {}).get("smoothing")
    if column in results.cells and results.cells[column].notna().any():
        title = f"Test {metric.words}{unit} (mean ± 95 % interval over {word}s)"
        console.print(grid_table(results.cells, column, title, smoothing))
    if {"label_smoothing", column} <= set(results.teachers):
        for alpha, own in results.teachers.dropna(subset=[column]).groupby("label_smoothing"):
            # One teacher has no interval, and is written as its value alone.
            score = written(t_interval(own[column].to_numpy()), metric.unit)
            console.print(f"{_column(alpha, smoothing)}: {score} test {metric.words}")
    if column in results.controls:
        known = results.controls[results.controls.status == "done"].dropna(subset=[column])
        for (student, alpha), own in known.groupby(["student", "label_smoothing"]):
            of = f"{student} " if known.student.nunique() > 1 else ""
            score = written(t_interval(own[column].to_numpy()), metric.unit)
            console.print(markup(f"{of}{without_teacher(alpha)}: {score} test {metric.words}"))
    if results.config.get("preview"):
        console.print("[yellow]Preview: too short to conclude from. The full study: tosmooth study[/yellow]")
    console.print(f"report: {markup(StudyDirectory(results.path).report)}", soft_wrap=True)
    if facts is not None:
        console.print(f"get the student: {markup(f'tosmooth export {quoted(str(results.path))}')}", soft_wrap=True)
