"""What `study` and `recipes run` share: a study that runs, or one whose cost is estimated."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tosmooth.cli.common import answer, out, print_json
from tosmooth.launch import speaks

if TYPE_CHECKING:  # `--help` does not pay for PyTorch
    from tosmooth.config.schema import StudyConfig
    from tosmooth.study.until_sure import UntilSure

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="print time, memory and disk, measured; write nothing", show_default=False)
]


def duration(text: str) -> float | None:
    """Seconds of a duration such as `90s`, `30m`, `2h` or `1h30m`; None where it is none."""
    found = re.fullmatch(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text.strip().lower())
    if found is None or not any(found.groups()):
        return None
    return float(
        sum(int(number or 0) * unit for number, unit in zip(found.groups(), (86400, 3600, 60, 1), strict=True))
    )


def run(
    config: StudyConfig,
    output: Path,
    *,
    train: Callable[[Any], None] | None = None,
    until_sure: UntilSure | None = None,
    as_json: bool = False,
) -> None:
    """Run a study, and print what it found."""
    from tosmooth.folder.paths import StudyDirectory
    from tosmooth.study.run import run_study
    from tosmooth.study.summary import headline_of, print_summary

    results = run_study(config, output, train=train, until_sure=until_sure)
    if not speaks():
        return
    if as_json:
        paths = {"study": str(results.path), "report": str(StudyDirectory(results.path).report)}
        print_json({"headline": headline_of(results), "verdict": results.verdict, "advice": results.advice} | paths)
    else:
        print_summary(results, out)


def estimate(config: StudyConfig, output: Path, *, until_sure: UntilSure | None = None, as_json: bool = False) -> None:
    """Measure what a study would take, and print it; of one until sure, what it takes at most."""
    import dataclasses

    from tosmooth.study.estimate import estimate_study
    from tosmooth.study.estimate_summary import print_estimate

    if until_sure is None:
        found = estimate_study(config, output)
    else:
        from tosmooth.study.until_sure import at_most, at_most_in_words

        found = estimate_study(at_most(config, until_sure), output)
        found = dataclasses.replace(found, notes=[at_most_in_words(until_sure), *found.notes])
    if as_json:
        print_json(found.record())
    else:
        print_estimate(found, answer)
