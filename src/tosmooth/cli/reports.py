"""`project`, `report` and `doctor`: what looks at studies and machines that are there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tosmooth.cli.common import (
    AsJson,
    Output,
    app,
    out,
    print_json,
)
from tosmooth.terminal import markup


@app.command()
def project(
    path: Annotated[Path, typer.Argument(metavar="STUDY", help="folder of a study, for example runs/fashion-mnist")],
    classes: Annotated[
        str | None,
        typer.Option("--classes", help="three class names or indices: two similar, one not; comma-separated"),
    ] = None,
    plane: Annotated[
        str, typer.Option("--plane", help="algorithm1 (the paper's) or templates (Müller et al.)")
    ] = "algorithm1",
) -> None:
    """Draw the projection panels of a study again, for other classes or another plane.

    Example: `tosmooth project runs/fashion-mnist --classes "Shirt,T-shirt/top,Sneaker"`
    """
    from tosmooth.study.single import project_study

    out.print(f"projection drawn again: {markup(project_study(path, classes, plane))}")


@app.command()
def report(
    path: Annotated[Path, typer.Argument(metavar="STUDY", help="folder of a study, for example runs/fashion-mnist")],
    as_json: AsJson = False,
) -> None:
    """Write the report of a study again, from its results on disk.

    Example: `tosmooth report runs/fashion-mnist`
    """
    from tosmooth.report.build import build_report
    from tosmooth.study.results import load_study
    from tosmooth.study.summary import print_summary

    results = load_study(path)
    written = build_report(path)
    if as_json:
        print_json({"report": str(written), "verdict": results.verdict})
    else:
        print_summary(results, out)


@app.command()
def doctor(output: Output = Path("runs"), as_json: AsJson = False) -> None:
    """Check this machine: versions, devices, precision, memory, disk, write access, and a short train-and-resume.

    Ends with exit code 1 if a study would fail here.

    Example: `tosmooth doctor --output /scratch/runs`
    """
    from tosmooth.doctor import examine

    checks = []
    for check in examine(output):
        checks.append(check)
        if not as_json:
            colour = {"ok": "green", "warning": "yellow", "failed": "red"}[check.state]
            out.print(
                f"[{colour}]{check.state:>7}[/{colour}]  [bold]{check.name}[/bold]: {markup(check.found)}",
                soft_wrap=True,
            )
            if check.remedy:
                out.print(f"         {markup(check.remedy)}", soft_wrap=True)
    failed = any(check.state == "failed" for check in checks)
    if as_json:
        print_json({"fit": not failed, "checks": [check.as_dict() for check in checks]})
    if failed:
        raise typer.Exit(1)
