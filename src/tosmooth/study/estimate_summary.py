"""What `--dry-run` prints: the work, the machine, the time, and what is not known."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

from tosmooth.study.estimate import Estimate, StageTime
from tosmooth.terminal import markup

HOUR, DAY = 3600.0, 86400.0


def duration(seconds: float) -> str:
    """`45 s`, `35 min`, `12 h`, `5.2 days`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / HOUR:.1f} h" if seconds < 3 * DAY else f"{seconds / DAY:,.1f} days"


def size(count: float) -> str:
    """`850 kB`, `12 MB`, `3.4 GB`."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if count >= factor:
            return f"{count / factor:,.1f} {unit}" if count < 10 * factor else f"{count / factor:,.0f} {unit}"
    return f"{count / 1e3:,.0f} kB"


def print_estimate(found: Estimate, console: Console) -> None:
    """Print an estimate, no wider than 80 columns."""
    left, all_of_them = found.students
    done = f" ({all_of_them - left} of {all_of_them} students are finished)" if left < all_of_them else ""
    console.print(f"[bold]{markup(found.name)}[/bold]: an estimate, nothing was written{done}")
    splits = " · ".join(f"{count:,} {name}" for name, count in found.splits.items() if count)
    console.print(f"{found.samples}: {splits} · {found.classes:,} outputs", soft_wrap=True)
    for model in found.models:
        console.print(f"{model.role}: {markup(model.name)}, {model.parameters / 1e6:,.2f} M parameters", soft_wrap=True)
    console.print(_work(found))
    console.print(_times(found))
    low, high = found.seconds
    span = duration(high) if high < 1.05 * low else f"{duration(low)} to {duration(high)}"
    asked = "" if found.teacher_precision is None else f"; frozen teachers {found.teacher_precision}"
    where = markup(f"{found.device}, {found.precision}{asked}")
    console.print(f"[bold]about {span}[/bold] on this machine ({where})", soft_wrap=True)
    memory, disk = found.memory, found.disk
    group = f", {memory.group} students at once" if memory.group else ""
    console.print(f"memory: {size(memory.peak)} at its peak{group}; {size(memory.free)} free")
    passing = f", for a while {size(disk.checkpoints)} of checkpoints" if disk.checkpoints else ""
    cache = f", {size(disk.cache)} of stored answers" if disk.cache else ""
    cache += f", {size(disk.views)} of stored views" if disk.views else ""
    console.print(f"disk:   {size(disk.results)}{passing}{cache}; {size(disk.free)} free", soft_wrap=True)
    for problem in found.problems:
        console.print(f"[red]in the way:[/red] {markup(problem)}", soft_wrap=True)
    for note in found.notes:
        console.print(f"- {markup(note)}", soft_wrap=True)


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    return table


def _work(found: Estimate) -> Table:
    table = _table("", "models", "epochs", "steps/epoch", "steps", f"{found.samples} read")
    for time in found.times:
        stage = time.stage
        rest = (f"{stage.epochs:,}", f"{stage.steps_per_epoch:,}", f"{stage.steps:,}" if stage.steps else "–")
        if stage.passes:
            rest = ("–", "–", f"{stage.passes:,} passes")
        table.add_row(stage.name, str(stage.models), *rest, _count(stage.loaded))
    return table


def _times(found: Estimate) -> Table:
    table = _table("", "computing", "reading", "together", "slowest")
    for time in found.times:
        table.add_row(time.stage.name, duration(time.computing), duration(time.loading), _span(time), time.bottleneck)
    return table


def _span(time: StageTime) -> str:
    low, high = duration(time.low), duration(time.high)
    return low if low == high else f"{low} to {high}"


def _count(count: int) -> str:
    return f"{count / 1e6:,.1f} M" if count >= 10_000_000 else f"{count:,}"
