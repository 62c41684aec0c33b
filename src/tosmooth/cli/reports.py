"""`project`, `report` and `doctor`: what looks at studies and machines that are there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tosmooth.cli import completion
from tosmooth.cli.common import (
    AsJson,
    Output,
    Study,
    answer,
    app,
    out,
    print_json,
)
from tosmooth.terminal import markup


@app.command()
def project(
    study: Study,
    classes: Annotated[
        str | None,
        typer.Option("--classes", help="three class names or indices: two similar, one not; comma-separated"),
    ] = None,
    plane: Annotated[
        str,
        typer.Option(
            "--plane",
            help="algorithm1 (the paper's) or templates (Müller et al.)",
            autocompletion=completion.names("planes"),
        ),
    ] = "algorithm1",
    as_json: AsJson = False,
) -> None:
    """Draw a study's projection again, for other classes.

    Example:
      tosmooth project runs/fashion-mnist --classes "Shirt,T-shirt/top,Sneaker"
    """
    from tosmooth.study.single import project_study

    drawn = project_study(study, classes, plane)
    if as_json:
        print_json({"projection": str(drawn)})
    else:
        out.print(f"projection drawn again: {markup(drawn)}", soft_wrap=True)


@app.command()
def report(
    study: Study,
    as_json: AsJson = False,
) -> None:
    """Write the report of a study again, from its results on disk.

    Example:
      tosmooth report runs/fashion-mnist
    """
    from tosmooth.folder.results import load_study
    from tosmooth.report.build import build_report
    from tosmooth.study.summary import headline_of, print_summary

    results = load_study(study)
    written = build_report(study)
    if as_json:
        print_json({"report": str(written), "headline": headline_of(results), "verdict": results.verdict})
    else:
        print_summary(results, out)


@app.command()
def doctor(output: Output = Path("runs"), as_json: AsJson = False) -> None:
    """Check this machine: versions, devices, disk, a short training.

    Ends with exit code 1 if a study would fail here.

    Example:
      tosmooth doctor --output /scratch/runs
    """
    from tosmooth.doctor import examine

    checks = []
    for check in examine(output):
        checks.append(check)
        if not as_json:
            colour = {"ok": "green", "warning": "yellow", "failed": "red"}[check.state]
            console = answer if check.state == "failed" else out
            console.print(
                f"[{colour}]{check.state:>7}[/{colour}]  [bold]{check.name}[/bold]: {markup(check.found)}",
                soft_wrap=True,
            )
            if check.remedy:
                console.print(f"         {markup(check.remedy)}", soft_wrap=True)
    failed = any(check.state == "failed" for check in checks)
    if as_json:
        print_json({"fit": not failed, "checks": [check.as_dict() for check in checks]})
    if failed:
        raise typer.Exit(1)
