"""What all benchmarks share: interleaved timing, tables, and results that say where they come from."""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from tosmooth.config.schema import ComputeConfig
from tosmooth.study.environment import describe_environment
from tosmooth.training.compute import Compute

RESULTS = Path(__file__).parent / "results"
PEERS = ("timm", "torchdistill", "liger-kernel")


@dataclass
class Result:
    """The table of one benchmark."""

    name: str
    title: str
    columns: list[str]
    rows: list[list[Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, *cells: Any) -> None:
        """A row; what has taken minutes can be read, and is not lost with what follows."""
        self.rows.append(list(cells))
        print("  " + ", ".join(map(shown, cells)), file=sys.stderr, flush=True)

    def finish(self, compute: Compute) -> None:
        """Print the table and write the JSON."""
        self.show()
        self.write(describe_environment(compute) | {name: installed(name) for name in PEERS})

    def show(self) -> None:
        """Print the table."""
        table = Table(title=self.title, title_justify="left")
        for index, column in enumerate(self.columns):
            table.add_column(column, justify="left" if index == 0 else "right")
        for row in self.rows:
            table.add_row(*(shown(cell) for cell in row))
        console = Console(width=None if sys.stdout.isatty() else 130)
        console.print(table)
        for note in self.notes:
            console.print(f"  {note}", highlight=False, markup=False)

    def write(self, environment: dict[str, Any]) -> None:
        """Write the JSON, with the machine's `describe_environment`."""
        RESULTS.mkdir(exist_ok=True)
        text = {
            "name": self.name,
            "title": self.title,
            "columns": self.columns,
            "rows": self.rows,
            "notes": self.notes,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": " ".join(["python -m", f"benchmarks.{self.name.partition('-')[0]}", *sys.argv[1:]]),
            "environment": environment,
        }
        (RESULTS / f"{self.name}.json").write_text(
            json.dumps(text, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )


def shown(cell: Any) -> str:
    """A cell as text: numbers with three digits."""
    if cell is None:
        return "–"
    if isinstance(cell, float):
        return f"{cell:.0f}" if abs(cell) >= 100 else f"{cell:.3g}"
    return str(cell)


def installed(package: str) -> str | None:
    """Version of a package, None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def interleave(runs: Mapping[str, Callable[[], None]], repeats: int) -> dict[str, list[float]]:
    """Seconds of every run, `repeats` times in turn: a machine that slows down slows all of them alike."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    names = list(runs)
    for repeat in range(repeats):
        for name in names[repeat % len(names) :] + names[: repeat % len(names)]:
            gc.collect()
            synchronize()
            started = time.perf_counter()
            runs[name]()
            synchronize()
            seconds[name].append(time.perf_counter() - started)
            print(f"  {name}: {seconds[name][-1]:.2f} s", file=sys.stderr, flush=True)
    return seconds


def synchronize() -> None:
    """Wait for the GPU, if there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def median_ratio(numerator: list[float], denominator: list[float]) -> float:
    """Median over the repeats of the ratio within each repeat."""
    return statistics.median(a / b for a, b in zip(numerator, denominator, strict=True))


def compute_of(**settings: Any) -> Compute:
    """A device and precision, as a study would choose them."""
    return Compute.from_config(ComputeConfig(**settings))


def arguments(description: str, **defaults: int) -> argparse.Namespace:
    """Command-line options: whole numbers with their defaults."""
    parser = argparse.ArgumentParser(description=description)
    for name, default in defaults.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=default, help=f"default {default}")
    return parser.parse_args()
