"""`distill`: one student, from your own teacher and images or from a recipe's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tosmooth.cli import completion
from tosmooth.cli.common import AsJson, Output, Overrides, app, arguments, out, print_json, print_rows
from tosmooth.errors import ConfigError
from tosmooth.launch import speaks
from tosmooth.recipes import DEFAULT_RECIPE

if TYPE_CHECKING:
    from tosmooth.distill.call import Call


@app.command()
def distill(
    source: Annotated[
        str | None,
        typer.Argument(metavar="[RECIPE|FILE.yaml]", help="fills in the rest", autocompletion=completion.sources),
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
    temperature: Annotated[str | None, typer.Option("--temperature", "-T", help="default: by the audit")] = None,
    alpha: Annotated[str | None, typer.Option("--alpha", help="smoothing: known, or to train")] = None,
    class_map: Annotated[Path | None, typer.Option("--class-map", help="data's to teacher's classes")] = None,
    fine_tune: Annotated[
        bool | None, typer.Option("--fine-tune/--no-fine-tune", help="train the teacher first")
    ] = None,
    teacher_model: Annotated[
        str | None,
        typer.Option("--teacher-model", help="of a teacher file", autocompletion=completion.names("prefixes")),
    ] = None,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="no published weights", show_default=False)
    ] = False,
    formats: Annotated[
        str,
        typer.Option("--format", help="of the export", autocompletion=completion.names("formats", many=True)),
    ] = "safetensors",
    seed: Annotated[int, typer.Option("--seed", help="of the student")] = 0,
    output: Output = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """Distil one student: audit, choose T, train, evaluate, export.

    --teacher takes timm:…, torchvision:…, hf:… or a file of weights. With a
    recipe and none of --student, --data: the recipe's own models, at T = 1
    unless told. Several T or α (comma-separated) are compared.

    Examples:
      tosmooth distill --teacher timm:resnet50.a1_in1k \\
        --student timm:mobilenetv3_small_100 --data ~/images
      tosmooth distill fashion-mnist --alpha 0.1 -T 2
    """
    given = list(overrides or [])
    if source is not None and "=" in source:
        given, source = [source, *given], None
    mistakes: list[str] = []
    temperatures = _numbers(temperature, "--temperature", mistakes)
    alphas = _numbers(alpha, "--alpha", mistakes, below=1, zero=True)
    if not 0 <= seed < 2**31:
        mistakes.append(f"--seed: {seed}, must be from 0 to {2**31 - 1}")
    own = student, data, path, class_map, fine_tune, teacher_model
    published = teacher is not None and not Path(teacher).expanduser().is_file() and ":" in teacher
    if published or from_scratch or any(value is not None for value in own):
        from tosmooth.distill.call import Call

        call = Call(
            teacher, student, source, given, data, path, teacher_model, temperatures, alphas, class_map, fine_tune,
            from_scratch, seed, formats.split(","), mistakes=tuple(mistakes),
        )  # fmt: skip
        _own(call, output, as_json)
        return
    if teacher is not None and not Path(teacher).expanduser().is_file():
        from tosmooth.distill.call import NO_TEACHER

        mistakes.append(NO_TEACHER.format(teacher))
    if alphas is not None and len(alphas) > 1:
        mistakes.append("--alpha: a recipe's own teacher has one")
    if mistakes:
        raise ConfigError(mistakes)
    weights = None if teacher is None else Path(teacher).expanduser()
    rows = _of_recipe(source or DEFAULT_RECIPE, given, weights, alphas, temperatures or (1.0,), seed, output)
    print_rows(rows, as_json)


def _numbers(text: str | None, option: str, mistakes: list[str], **bounds: Any) -> tuple[float, ...] | None:
    if text is None:
        return None
    from tosmooth.distill.call import numbers

    return numbers(text, option, mistakes, **bounds)


def _own(call: Call, output: Path, as_json: bool) -> None:
    from tosmooth.distill.run import distill_own
    from tosmooth.distill.summary import print_distilled

    result = distill_own(call, output)
    if not speaks():
        return
    if as_json:
        print_json(result)
    else:
        print_distilled(result, out)


def _of_recipe(
    source: str,
    overrides: list[str],
    teacher: Path | None,
    alphas: tuple[float, ...] | None,
    temperatures: tuple[float, ...],
    seed: int,
    output: Path,
) -> list[dict[str, Any]]:
    """Distil a recipe's student from a file of its teacher's weights, or from a teacher that is trained first."""
    from tosmooth.recipes.reading import apply_override, load_config, read_source
    from tosmooth.study.single import distill_one

    smoothing = 0.1 if alphas is None else alphas[0]
    shown = "-".join(f"{value:g}" for value in temperatures)
    source, given = arguments(source, overrides)
    extra = [
        f"teacher.label_smoothing=[{smoothing}]",
        f"student.temperatures=[{','.join(map(str, temperatures))}]",
        f"student.seeds=[{seed}]",
        *given,
    ]
    raw = read_source(source)
    section = raw.get("teacher")
    if isinstance(section, dict):  # one student has one teacher
        for key in ("seeds", "given"):
            found = section.get(key)
            if isinstance(found, list):
                section[key] = found[:1]
            elif isinstance(found, dict):
                one = {a: files[:1] if isinstance(files, list) else files for a, files in found.items()}
                section[key] = {a: files for a, files in one.items() if a == smoothing and teacher is None}
    apply_override(raw, "student.models", [])
    if teacher is not None:
        apply_override(raw, "teacher.train", False)
        apply_override(raw, "teacher.checkpoints", {smoothing: str(teacher)})
    if not any(text.startswith("name=") for text in extra):
        raw["name"] = f"{raw.get('name', 'study')}-distill-a{smoothing:g}-T{shown}-s{seed}"
    return distill_one(load_config(raw, extra), output)
