"""`distill`: one student, from your own teacher and images or from a recipe's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tosmooth.cli import completion
from tosmooth.cli.common import (
    AsJson,
    Ema,
    ImageSize,
    Output,
    Overrides,
    TeacherModel,
    app,
    named_source,
    out,
    print_json,
)
from tosmooth.launch import speaks


@app.command()
def distill(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[RECIPE|FILE.yaml]", help="fills in the rest; alone, all: T = 1", autocompletion=completion.sources
        ),
    ] = None,
    overrides: Overrides = None,
    teacher: Annotated[
        str | None,
        typer.Option("--teacher", help="a published model or a file", autocompletion=completion.teachers),
    ] = None,
    student: Annotated[
        str | None,
        typer.Option("--student", help="its model, such as timm:…", autocompletion=completion.names("prefixes")),
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", help="folder, or a data source", autocompletion=completion.data)
    ] = None,
    path: Annotated[Path | None, typer.Option("--path", help="folder of that data source")] = None,
    unlabelled: Annotated[Path | None, typer.Option("--unlabelled", help="images without labels")] = None,
    temperature: Annotated[str | None, typer.Option("--temperature", "-T", help="default: by the audit")] = None,
    alpha: Annotated[str | None, typer.Option("--alpha", help="smoothing: known, or to train")] = None,
    class_map: Annotated[Path | None, typer.Option("--class-map", help="data's to teacher's classes")] = None,
    fine_tune: Annotated[
        bool | None, typer.Option("--fine-tune/--no-fine-tune", help="train the teacher first")
    ] = None,
    teacher_model: TeacherModel = None,
    ema: Ema = False,
    image_size: ImageSize = None,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="no published weights", show_default=False)
    ] = False,
    formats: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="of the export (safetensors)",
            autocompletion=completion.names("formats", many=True),
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="of the student")] = 0,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="go on with a poor teacher", show_default=False)] = False,
    output: Output = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """Distil one student: audit, choose T, train, evaluate, export.

    --teacher: timm:…, hf:…, weights, .npz. Several T or α (1,2,4) are compared.

    Examples:
      tosmooth distill --teacher timm:resnet50.a1_in1k \\
        --student timm:mobilenetv3_small_100 --data ~/images
      tosmooth distill fashion-mnist --alpha 0.1 -T 2
    """
    from tosmooth.distill.call import Call, numbers
    from tosmooth.distill.run import distill as run
    from tosmooth.distill.summary import print_distilled

    named, given = named_source(source, overrides)
    mistakes: list[str] = []
    temperatures = None if temperature is None else numbers(temperature, "--temperature", mistakes)
    alphas = None if alpha is None else numbers(alpha, "--alpha", mistakes, below=1, zero=True)
    if not 0 <= seed < 2**31:
        mistakes.append(f"--seed: {seed}, must be from 0 to {2**31 - 1}")
    wanted = None if formats is None else formats.split(",")
    call = Call(
        teacher, student, named, given, data, path, teacher_model, temperatures, alphas, class_map, fine_tune,
        from_scratch, seed, wanted, ema=ema, image_size=image_size, unlabelled=unlabelled, yes=yes,
        mistakes=tuple(mistakes),
    )  # fmt: skip
    result = run(call, output)
    if not speaks():
        return
    if as_json:
        print_json(result)
    else:
        print_distilled(result, out)
