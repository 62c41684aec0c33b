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
from tosmooth.words.numbers import signed
from tosmooth.words.students import without_teacher

LEAST_MILLIONS = 100_000  # parameters, which two digits of a million show


def print_distilled(result: Mapping[str, Any], console: Console) -> None:
    """The teacher's audit, which T and why, a table of the models, warnings, and where everything is."""
    console.print()
    if result["relation"]:
        console.print(markup(f"{result['relation']}."))
    for teacher in result["teachers"]:
        console.print(
            f"{markup(_said_of(teacher, audited=bool(result['relation'])))} Distilled at {markup(teacher['why'])}."
        )
    models = result["teachers"][0]["model"], result["students"][0]["model"]
    console.print(f"\n{markup(models[0])} → {markup(models[1])}", soft_wrap=True)
    console.print(_table(result))
    chosen = next(row for row in result["students"] if row["name"] == result["chosen"])
    unit, value = result["metric"]["unit"], chosen.get(f"test/{result['metric']['name']}")
    figure = f" {value:.1f}{unit} on test." if value is not None else ""
    console.print(f"[bold]Kept: {markup(chosen['name'])}[/bold], {markup(result['how'])}.{figure}")
    images = result["distilled_on"]
    if images["unlabelled"]:
        console.print(
            f"Distilled on {images['labelled']:,} labelled and {images['unlabelled']:,} unlabelled images; without a "
            "teacher on the labelled ones alone, in as many steps."
        )
    if (gain := result.get("gained")) is not None:
        console.print(
            f"Distilling gained {signed(gain['mean'], 1)} points on test over training without a teacher "
            f"({signed(gain['low'], 1)} to {signed(gain['high'], 1)} over these images; one seed)."
        )
    for text in result["warnings"]:
        console.print(f"[yellow]warning:[/yellow] {markup(text)}")
    console.print()
    teacher = next(row for row in result["teachers"] if row["name"] == chosen["teacher"])
    study = StudyDirectory(Path(result["study"]))
    places = {"student to use": chosen["weights"] if result["export"] is None else result["export"]["folder"]}
    if teacher["audit"] is not None:
        places["audit"] = str(study.teacher(teacher["name"]) / AUDIT_PAGE_FILE)
    for label, path in (places | {"everything": str(study.path / DISTILL_FILE)}).items():
        console.print(f"{label}: {markup(path)}", soft_wrap=True)
    if result["following"] is not None:
        console.print(f"for the whole evidence, with a report: {markup(result['following'])}", soft_wrap=True)


def _said_of(teacher: Mapping[str, Any], *, audited: bool) -> str:
    """What is known of a teacher's smoothing, and how."""
    if audited:
        return str(teacher["audit"]["headline"])
    what = {"given": "Taken as given", "trained": "Trained on the data", "fine-tuned": "Fine-tuned on the data"}
    return f"{what[teacher['origin']]} with α = {teacher['label_smoothing']:g}."


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
        table.add_row(role, "", *_figures(row, result["metric"]))
    for row in result["students"]:
        alpha = next(one["label_smoothing"] for one in result["teachers"] if one["name"] == row["teacher"])
        role = f"student of α = {alpha:g}" if many else "student"
        own = [role, f"{row['temperature']:g}", *_figures(row, result["metric"])]
        table.add_row(*own, style="bold" if row["name"] == result["chosen"] else "")
    for row in result.get("controls", ()):
        table.add_row(without_teacher(row["label_smoothing"]), "", *_figures(row, result["metric"]))
    return table


def _figures(row: Mapping[str, Any], metric: Mapping[str, str]) -> list[str]:
    found = [row.get(f"{split}/{metric['name']}") for split in ("val", "test")]
    shown = ["–" if value is None else f"{value:.1f}{metric['unit']}" for value in found]
    if (size := row["parameters"]) is None:  # a teacher that is known by its outputs
        return [*shown, "–", "–"]
    return [*shown, f"{size / 1e6:.2f} M" if size >= LEAST_MILLIONS else f"{size:,}", f"{row['megabytes']:.1f}"]
