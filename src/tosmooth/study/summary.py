"""The summary a study ends with on the terminal: the sentence, the grid, and where the report is."""

from __future__ import annotations

import pandas as pd
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tosmooth.analysis.inference import t_interval
from tosmooth.study.advise import written
from tosmooth.study.results import StudyResults


def grid_table(cells: pd.DataFrame, metric: str, title: str) -> Table:
    """Temperatures as rows, α as columns, mean ± 95 % half-width over seeds."""
    done = cells[cells.status == "done"]
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 2))
    several = done.objective.nunique() > 1
    if several:
        table.add_column("objective")
    table.add_column("T", justify="right")
    alphas = sorted(done.label_smoothing.unique())
    for alpha in alphas:
        table.add_column(f"teacher α = {alpha:g}", justify="right")
    for (objective, temperature), rows in done.groupby(["objective", "temperature"]):
        values = (rows[rows.label_smoothing == alpha][metric].dropna().to_numpy() for alpha in alphas)
        texts = [written(t_interval(numbers)) if len(numbers) else "–" for numbers in values]
        table.add_row(*([objective] if several else []), f"{temperature:g}", *texts)
    return table


def print_summary(results: StudyResults, console: Console) -> None:
    """Print the verdict, the grid, how sure it is, and the report's path."""
    console.print()
    if results.verdict is not None:
        console.print(f"[bold]{escape(results.verdict['sentence'])}[/bold]")
    if results.advice is not None:
        console.print(escape(results.advice["confidence"]["sentence"]))
        console.print(escape(results.advice["effect"]["sentence"]))
        console.print(escape(results.advice["rule"]["sentence"]))
    console.print()
    if results.cells["test/top1"].notna().any():
        console.print(grid_table(results.cells, "test/top1", "Test top-1, % (mean ± 95 % interval over seeds)"))
    for row in results.teachers.itertuples():
        top1 = results.teachers.loc[row.Index, "test/top1"]
        if pd.notna(top1):
            console.print(f"teacher α = {row.label_smoothing:g}: {top1:.1f} % test top-1")
    if results.config.get("preview"):
        console.print("[yellow]Preview: too short to conclude from. The full study: tosmooth study[/yellow]")
    console.print(f"report: {escape(str(results.path / 'report.html'))}", soft_wrap=True)
