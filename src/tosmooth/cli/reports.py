"""`project`, `report`, `verify` and `doctor`: what looks at studies and machines that are there."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
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
    written = build_report(study, lambda text: out.print(markup(text), soft_wrap=True))
    if as_json:
        print_json({"report": str(written), "headline": headline_of(results), "verdict": results.verdict})
    else:
        print_summary(results, out)


@app.command()
def verify(study: Study, as_json: AsJson = False) -> None:
    """Is every file of a study what it wrote? What to do where not.

    Ends with exit code 1 if one is damaged or missing. Files of earlier versions have no sum: "not recorded".

    Example:
      tosmooth verify runs/fashion-mnist
    """
    from tosmooth.folder.verify import verify as verify_study

    found = verify_study(study)
    holds = all(file.holds for file in found)
    if as_json:
        print_json({"study": str(study), "holds": holds, "files": [asdict(file) for file in found]})
    else:
        for file in found:
            colour = {"ok": "green", "not recorded": "yellow", "removed": "yellow"}.get(file.state, "red")
            console = out if file.holds else answer
            console.print(f"[{colour}]{file.state:>12}[/{colour}]  {markup(file.file)}", soft_wrap=True)
            if not file.holds:
                console.print(f"              {markup(f'{file.why}; {file.remedy}')}", soft_wrap=True)
        counts = Counter(file.state for file in found)
        (out if holds else answer).print(", ".join(f"{number} {state}" for state, number in counts.items()))
    if not holds:
        raise typer.Exit(1)


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
