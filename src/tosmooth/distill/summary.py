"""What `tosmooth distill` ends with on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from tosmooth.folder.paths import AUDIT_PAGE_FILE, DISTILL_FILE, StudyDirectory
from tosmooth.terminal import markup

LEAST_MILLIONS = 100_000  # parameters, which two digits of a million show


def print_distilled(result: Mapping[str, Any], console: Console) -> None:
    """The teacher's audit, which T and why, a table of the models, warnings, and where everything is."""
    console.print()
    if result["relation"]:
        console.print(markup(f"{result['relation']}."))
    for teacher in result["teachers"]:
        if result["relation"]:
            said = teacher["audit"]["headline"]
        else:
            said = f"Fine-tuned on the data with α = {teacher['label_smoothing']:g}."
        console.print(f"{markup(said)} Distilled at {markup(teacher['why'])}.")
    models = result["teachers"][0]["model"], result["students"][0]["model"]
    console.print(f"\n{markup(models[0])} → {markup(models[1])}", soft_wrap=True)
    console.print(_table(result))
    chosen = next(row for row in result["students"] if row["name"] == result["chosen"])
    figure = f" {chosen['test/top1']:.1f} % on test." if chosen.get("test/top1") is not None else ""
    console.print(f"[bold]Kept: {markup(chosen['name'])}[/bold], {markup(result['how'])}.{figure}")
    for text in result["warnings"]:
        console.print(f"[yellow]warning:[/yellow] {markup(text)}")
    console.print()
    study = StudyDirectory(Path(result["study"]))
    for label, path in (
        ("student to use", result["export"]["folder"]),
        ("audit", str(study.teacher(chosen["teacher"]) / AUDIT_PAGE_FILE)),
        ("everything", str(study.path / DISTILL_FILE)),
    ):
        console.print(f"{label}: {markup(path)}", soft_wrap=True)
    if result["following"] is not None:
        console.print(f"for the whole evidence, with a report: {markup(result['following'])}", soft_wrap=True)


def _table(result: Mapping[str, Any]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False)
    for name, justify in (
        ("", "left"), ("T", "right"), ("validation", "right"), ("test", "right"),
        ("params", "right"), ("MB", "right"),
    ):  # fmt: skip
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    many = len(result["teachers"]) > 1
    for row in result["teachers"]:
        role = f"teacher α = {row['label_smoothing']:g}" if many else "teacher"
        table.add_row(role, "", *_figures(row))
    for row in result["students"]:
        alpha = next(one["label_smoothing"] for one in result["teachers"] if one["name"] == row["teacher"])
        role = f"student of α = {alpha:g}" if many else "student"
        own = [role, f"{row['temperature']:g}", *_figures(row)]
        table.add_row(*own, style="bold" if row["name"] == result["chosen"] else "")
    return table


def _figures(row: Mapping[str, Any]) -> list[str]:
    shown = [f"{row[key]:.1f} %" if row.get(key) is not None else "–" for key in ("val/top1", "test/top1")]
    size = row["parameters"]
    return [*shown, f"{size / 1e6:.2f} M" if size >= LEAST_MILLIONS else f"{size:,}", f"{row['megabytes']:.1f}"]
