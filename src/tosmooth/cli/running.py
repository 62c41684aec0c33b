"""What `study` and `recipes run` share: a study that runs, or one whose cost is estimated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tosmooth.cli.common import answer, out, print_json
from tosmooth.launch import speaks

if TYPE_CHECKING:  # `--help` does not pay for PyTorch
    from tosmooth.config.schema import StudyConfig

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="print time, memory and disk, measured; write nothing", show_default=False)
]


def run(
    config: StudyConfig, output: Path, *, train: Callable[[Any], None] | None = None, as_json: bool = False
) -> None:
    """Run a study, and print what it found."""
    from tosmooth.folder.paths import StudyDirectory
    from tosmooth.study.run import run_study
    from tosmooth.study.summary import headline_of, print_summary

    results = run_study(config, output, train=train)
    if not speaks():
        return
    if as_json:
        paths = {"study": str(results.path), "report": str(StudyDirectory(results.path).report)}
        print_json({"headline": headline_of(results), "verdict": results.verdict, "advice": results.advice} | paths)
    else:
        print_summary(results, out)


def estimate(config: StudyConfig, output: Path, *, as_json: bool = False) -> None:
    """Measure what a study would take, and print it."""
    from tosmooth.study.estimate import estimate_study
    from tosmooth.study.estimate_summary import print_estimate

    found = estimate_study(config, output)
    if as_json:
        print_json(found.record())
    else:
        print_estimate(found, answer)
