"""`train-teacher`, `evaluate`, `export` and `audit`: what works on single models."""

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
    Quick,
    Source,
    Study,
    TeacherModel,
    answer,
    app,
    named_source,
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
    """Only the teachers of a study.

    `tosmooth study` with the same arguments goes on from them.

    Example:
      tosmooth train-teacher fashion-mnist 'teacher.label_smoothing=[0,0.05,0.1]'
    """
    from tosmooth.study.single import train_only_teachers

    rows = train_only_teachers(read(source, overrides, quick=quick), output)
    print_rows(rows, as_json)


@app.command()
def evaluate(
    weights: Annotated[Path, typer.Argument(help="safetensors or PyTorch weights", autocompletion=completion.weights)],
    source: Annotated[
        str,
        typer.Argument(metavar="[RECIPE|FILE.yaml]", help="whose data and models", autocompletion=completion.sources),
    ] = DEFAULT_RECIPE,
    overrides: Overrides = None,
    role: Annotated[
        str, typer.Option("--role", help="student or teacher", autocompletion=completion.names("roles"))
    ] = "student",
    split: Annotated[
        str, typer.Option("--split", help="train, validation or test", autocompletion=completion.names("splits"))
    ] = "test",
    ema: Ema = False,
    as_json: AsJson = False,
) -> None:
    """Metrics of saved weights on a split: top-1, top-5, NLL, ECE.

    Example:
      tosmooth evaluate runs/fashion-mnist/teachers/a0-s0/model.safetensors \\
        --role teacher --split validation
    """
    from tosmooth.study.single import evaluate_weights

    print_rows([evaluate_weights(read(source, overrides), weights, role, split, ema=ema)], as_json, answer)


@app.command()
def export(
    study: Study,
    model: Annotated[
        str | None,
        typer.Argument(
            help="a teacher or student by name; default: the recommended setting's best seed by validation",
            autocompletion=completion.models,
        ),
    ] = None,
    formats: Annotated[
        str,
        typer.Option(
            "--format",
            help="comma-separated: safetensors, state_dict, huggingface, onnx, torch_export",
            autocompletion=completion.names("formats", many=True),
        ),
    ] = "safetensors",
    output: Annotated[Path, typer.Option("--output", "-o", help="folder to write")] = Path("export"),
    force: Annotated[
        bool, typer.Option("--force", help="replace an earlier export that was changed", show_default=False)
    ] = False,
    as_json: AsJson = False,
) -> None:
    """A student or teacher for other programs, with a model card.

    Example:
      tosmooth export runs/fashion-mnist --format safetensors,onnx -o export
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
        str,
        typer.Argument(
            help="saved logits or weights, timm:…, torchvision:… or hf:…", autocompletion=completion.teachers
        ),
    ],
    source: Annotated[
        str | None,
        typer.Argument(metavar="[RECIPE|FILE.yaml]", help="whose data and teacher", autocompletion=completion.sources),
    ] = None,
    overrides: Overrides = None,
    data: Annotated[
        str | None,
        typer.Option("--data", help="folder, or a data source", autocompletion=completion.names("data_sources")),
    ] = None,
    path: Annotated[Path | None, typer.Option("--path", help="folder of a data source")] = None,
    split: Annotated[
        str,
        typer.Option("--split", help="only train decides", autocompletion=completion.names("splits")),
    ] = "train",
    training_data: Annotated[
        bool | None,
        typer.Option("--training-data/--other-data", help="seen in its training, or not"),
    ] = None,
    rescaled: Annotated[
        bool | None,
        typer.Option("--rescaled/--own-logits", help="logits were rescaled, or not"),
    ] = None,
    teacher_model: TeacherModel = None,
    ema: Ema = False,
    image_size: ImageSize = None,
    mixup: Annotated[float | None, typer.Option("--mixup", help="of its training: a of Beta(a, a), 0 for none")] = None,
    cutmix: Annotated[float | None, typer.Option("--cutmix", help="the same for CutMix")] = None,
    temperatures: Annotated[str, typer.Option("--temperatures", help="of soft targets")] = "1,2,3,4,8,64",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="folder for audit.json and audit.html")] = None,
    as_json: AsJson = False,
) -> None:
    """Was this teacher label-smoothed? What would it do at your T?

    Examples:
      tosmooth audit logits.npz
      tosmooth audit timm:resnet50.a1_in1k --data ~/imagenet
      tosmooth audit runs/fashion-mnist/teachers/a0.1-s0/model.safetensors
    """
    from tosmooth.audit.call import audit_teacher
    from tosmooth.audit.page import write_audit
    from tosmooth.audit.summary import print_audit

    found = audit_teacher(
        teacher,
        *named_source(source, overrides),
        data=data,
        path=path,
        split=split,
        temperatures=temperatures,
        training_data=training_data,
        rescaled=rescaled,
        ema=ema,
        teacher_model=teacher_model,
        image_size=image_size,
        mixup=mixup,
        cutmix=cutmix,
    )
    if not speaks():
        return
    written = [] if output is None else write_audit(found, output)
    if as_json:
        from tosmooth.folder.writing import plain

        print_json(plain(found.as_dict()) | {"written": [str(file) for file in written]})
    else:
        print_audit(found, written, answer)
