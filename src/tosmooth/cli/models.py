"""`train-teacher`, `evaluate`, `export` and `audit`: what works on single models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tosmooth.cli.common import (
    AsJson,
    Output,
    Overrides,
    Quick,
    Source,
    app,
    arguments,
    out,
    print_json,
    print_rows,
    read,
)
from tosmooth.launch import speaks
from tosmooth.recipes import DEFAULT_RECIPE


@app.command("train-teacher")
def train_teacher(
    source: Source = DEFAULT_RECIPE,
    overrides: Overrides = None,
    quick: Quick = False,
    output: Output = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """Train only the teachers of a study; `tosmooth study` with the same arguments goes on from them.

    Example: `tosmooth train-teacher fashion-mnist teacher.label_smoothing=[0,0.05,0.1,0.2] name=four-teachers`
    """
    from tosmooth.study.single import train_only_teachers

    rows = train_only_teachers(read(source, overrides, quick=quick), output)
    print_rows(rows, as_json)


@app.command()
def evaluate(
    weights: Annotated[Path, typer.Argument(help="safetensors or PyTorch weights of a teacher or student")],
    source: Annotated[str, typer.Argument(metavar="[RECIPE|FILE.yaml]", help="whose data and models")] = DEFAULT_RECIPE,
    overrides: Overrides = None,
    role: Annotated[str, typer.Option("--role", help="whose model section to build: student or teacher")] = "student",
    split: Annotated[str, typer.Option("--split", help="train, validation or test")] = "test",
    as_json: AsJson = False,
) -> None:
    """Top-1, top-5, NLL and ECE of saved weights on a split.

    Example: `tosmooth evaluate runs/fashion-mnist/teachers/a0-s0/model.safetensors --role teacher --split validation`
    """
    from tosmooth.study.single import evaluate_weights

    print_rows([evaluate_weights(read(source, overrides), weights, role, split)], as_json)


@app.command()
def export(
    study: Annotated[Path, typer.Argument(help="folder of a study")],
    model: Annotated[
        str | None,
        typer.Argument(
            help="name of a teacher or student; without one, the recommended setting's best seed by validation",
        ),
    ] = None,
    formats: Annotated[
        str,
        typer.Option("--format", help="comma-separated: safetensors, state_dict, huggingface, onnx, torch_export"),
    ] = "safetensors",
    output: Annotated[Path, typer.Option("--output", "-o", help="folder to write")] = Path("export"),
    force: Annotated[bool, typer.Option("--force", help="replace an earlier export that was changed since")] = False,
    as_json: AsJson = False,
) -> None:
    """A student or teacher for other programs, with its preparation, class names and a model card.

    Example: `tosmooth export runs/fashion-mnist --format safetensors,onnx --output export`
    """
    from tosmooth.export.export import export_model

    if not speaks():
        return
    found = export_model(study, model, formats.split(","), output, force=force)
    row = {"model": found.model, "chosen": found.chosen, "folder": str(found.path)}
    if as_json:
        print_json(row | {"largest_difference": found.differences, "files": list(found.files)})
    else:
        print_rows(
            [row | {name: f"differs by {value:.1g} at most" for name, value in found.differences.items()}], False
        )


@app.command()
def audit(
    teacher: Annotated[
        str, typer.Argument(help="saved logits, saved weights, or a published model (timm:…, torchvision:…, hf:…)")
    ],
    source: Annotated[
        str, typer.Argument(metavar="[RECIPE|FILE.yaml]", help="whose data and teacher")
    ] = DEFAULT_RECIPE,
    overrides: Overrides = None,
    data: Annotated[
        str | None, typer.Option("--data", help="a data source instead of the recipe's, such as folder")
    ] = None,
    path: Annotated[Path | None, typer.Option("--path", help="root folder of that data source")] = None,
    split: Annotated[str, typer.Option("--split", help="train, validation or test; only train decides")] = "train",
    training_data: Annotated[
        bool | None,
        typer.Option("--training-data/--other-data", help="whether the teacher was trained on these samples"),
    ] = None,
    temperatures: Annotated[
        str, typer.Option("--temperatures", help="of the soft targets shown, comma-separated")
    ] = "1,2,3,4,8,64",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="folder for audit.json and audit.html")] = None,
    as_json: AsJson = False,
) -> None:
    """Look at a teacher before any student is trained: was it label-smoothed, and what would that do at your T?

    Examples: `tosmooth audit logits.npz` · `tosmooth audit timm:resnet50.a1_in1k --data folder --path ~/imagenet` ·
    `tosmooth audit runs/fashion-mnist/teachers/a0.1-s0/model.safetensors fashion-mnist -o audit`
    """
    from tosmooth.audit.call import audit_teacher
    from tosmooth.audit.page import write_audit
    from tosmooth.audit.summary import print_audit

    found = audit_teacher(
        teacher,
        *arguments(source, overrides),
        data=data,
        path=path,
        split=split,
        temperatures=temperatures,
        training_data=training_data,
    )
    if not speaks():
        return
    written = [] if output is None else write_audit(found, output)
    if as_json:
        from tosmooth.study.directory import plain

        print_json(plain(found.as_dict()) | {"written": [str(file) for file in written]})
    else:
        print_audit(found, written, out)
