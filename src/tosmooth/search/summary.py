"""What a search, a plan of one, and a replay print on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table

from tosmooth.analysis.inference import Interval
from tosmooth.folder.paths import SEARCH_FILE
from tosmooth.tasks.metric import Metric
from tosmooth.terminal import markup
from tosmooth.words.settings import describe, written

if TYPE_CHECKING:  # `--dry-run` does not pay for PyTorch
    from tosmooth.search.run import SearchResult

SHOWN_SCORES = 12  # candidates of a rung; search.csv has all


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 2))
    for column in columns:
        table.add_column(column, justify="right")
    return table


def print_plan(record: Mapping[str, Any], console: Console) -> None:
    """The rungs, the candidates and student-epochs of each, and the share of the whole grid."""
    cost = record["cost"]
    console.print(
        f"{len(record['candidates'])} candidates of {record['replicates']} students each, the best "
        f"1/{record['eta']:g} of a rung go on"
    )
    table = _table("rung", "candidates", "epochs", "student-epochs", "share of the grid")
    for rung in record["rungs"]:
        share = 100 * rung["student_epochs"] / cost["full_grid_student_epochs"]
        epochs = f"{rung['from_epoch'] + 1} to {rung['to_epoch']}"
        table.add_row(str(rung["rung"]), str(rung["candidates"]), epochs, str(rung["student_epochs"]), f"{share:.1f} %")
    console.print(table)
    console.print(
        f"together {cost['student_epochs']} of the grid's {cost['full_grid_student_epochs']} student-epochs: "
        f"{100 * cost['share']:.1f} % (budget {100 * record['budget']:.1f} %)"
    )


def print_search(result: SearchResult, console: Console, on_test: Metric, *, preview: bool) -> None:
    """The winner, how the others went, the cost, and what is not known; `on_test` is the metric of the study."""
    record = result.record
    varied = [key for key in ("objective", "student") if len({row[key] for row in record["candidates"]}) > 1]
    metric = on_test.judged_by
    unit = f",{metric.unit}" if metric.unit else ""
    table = _table("after epoch", "candidate", f"validation {metric.words}{unit}", "goes on")
    for rung in record["rungs"]:
        for row in rung["scores"][:SHOWN_SCORES]:
            candidate = markup(describe(row, varied))
            table.add_row(str(rung["to_epoch"]), candidate, f"{row['mean']:.2f}", "yes" if row["kept"] else "no")
        table.add_section()
    console.print(table)
    console.print(f"[bold]{markup(record['sentences']['winner'])}[/bold]")
    told = record["test"][on_test.test]
    interval = Interval(told["mean"], _number(told["low"]), _number(told["high"]), told["n"])
    console.print(f"On test, read once and for it alone: {written(interval, on_test.unit)} {on_test.words}.")
    console.print(markup(record["sentences"]["cost"]))
    for text in record["sentences"]["unknown"]:
        console.print(markup(text))
    if preview:
        console.print("[yellow]Preview: too short to conclude from. The full search: tosmooth search[/yellow]")
    console.print(f"record: {markup(result.path / SEARCH_FILE)}", soft_wrap=True)


def print_replay(found: Mapping[str, Any], console: Console) -> None:
    """What a search would have picked in a finished study."""
    print_plan(found, console)
    for text in found["sentences"]:
        console.print(markup(text))


def _number(value: float | None) -> float:
    """JSON has no NaN: an interval of one value has no ends."""
    return float("nan") if value is None else float(value)
