"""The `tosmooth` command: sub-commands in the order of the work.

Commands import what they need when they run, so `--help` and `recipes` answer without loading PyTorch.

Exit codes: 0 done; 1 the work failed (data, model, folder, training); 2 the configuration or the call is wrong;
130 and 143 stopped by Ctrl-C and SIGTERM, with all progress saved. Errors are one message on stderr, without a
traceback.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from tosmooth.errors import ConfigError, Interrupted, PeerError, TosmoothError, did_you_mean
from tosmooth.launch import speaks
from tosmooth.recipes import DEFAULT_RECIPE, recipe_names, recipe_text
from tosmooth.terminal import markup, shown

app = typer.Typer(
    name="tosmooth",
    help="To smooth or not to smooth a teacher network? Evidence on your own data, and the best student.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
)
recipes_app = typer.Typer(help="List, show or copy the recipes that come with tosmooth.", no_args_is_help=True)
app.add_typer(recipes_app, name="recipes")

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

Source = Annotated[str, typer.Argument(metavar="[RECIPE|FILE.yaml]", help="a recipe's name or a YAML file")]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="for example student.epochs=3")]
Output = Annotated[Path, typer.Option("--output", "-o", help="folder that holds the studies")]
AsJson = Annotated[bool, typer.Option("--json", help="print the result as JSON on stdout")]
Quick = Annotated[bool, typer.Option("--quick", help="the same pipeline in about a minute, marked as a preview")]


def _arguments(source: str, overrides: list[str] | None) -> tuple[str, list[str]]:
    """`tosmooth study student.epochs=3` means the default recipe: an override in the first place is no recipe."""
    given = list(overrides or [])
    return (DEFAULT_RECIPE, [source, *given]) if "=" in source else (source, given)


def _read(source: str, overrides: list[str] | None, *, quick: bool = False) -> Any:
    from tosmooth.config_reading import load_config

    return load_config(*_arguments(source, overrides), quick=quick)


@recipes_app.command("list")
def recipes_list(as_json: AsJson = False) -> None:
    """Names and first lines of all recipes."""
    lines = {name: recipe_text(name).splitlines()[0].removeprefix("#").strip() for name in recipe_names()}
    if as_json:
        _print_json(lines)
        return
    width = max(map(len, lines))
    for name, line in lines.items():
        out.print(f"[bold]{name:<{width}}[/bold]  {markup(line)}")


@recipes_app.command("show")
def recipes_show(name: Annotated[str, typer.Argument(help="a recipe's name")] = DEFAULT_RECIPE) -> None:
    """Print a recipe, comments included.

    Example: `tosmooth recipes show fashion-mnist`
    """
    print(recipe_text(name), end="")


@recipes_app.command("copy")
def recipes_copy(
    name: Annotated[str, typer.Argument(help="a recipe's name")],
    target: Annotated[Path | None, typer.Argument(help="the new file; default: NAME.yaml here")] = None,
) -> None:
    """Copy a recipe to a file of your own to edit.

    Example: `tosmooth recipes copy fashion-mnist my-study.yaml`
    """
    text, path = recipe_text(name), target or Path(f"{name}.yaml")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigError([f"{path} exists; give another file name"]) from None
    except OSError as error:
        raise ConfigError([f"{path} cannot be written: {error.strerror}"]) from None
    except ValueError:  # a NUL byte
        raise ConfigError([f"{path} cannot be the name of a file"]) from None
    out.print(f"{markup(path)} written; run it with: tosmooth study {markup(path)}")


@app.command()
def validate(source: Source = DEFAULT_RECIPE, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Check a configuration without doing any work, and say what it would run.

    Example: `tosmooth validate my-study.yaml student.temperatures=[1,4]`
    """
    from tosmooth.config_reading import dump_config
    from tosmooth.study.plan import make_plan

    config = _read(source, overrides)
    plan = make_plan(config)
    summary = {
        "name": config.name,
        "teachers": len(plan.teachers),
        "students": len(plan.cells),
        "groups": len(plan.groups),
    }
    if as_json:
        _print_json(summary | {"config": config.model_dump(mode="json")})
        return
    print(dump_config(config), end="")
    err.print(f"valid: {len(plan.teachers)} teachers, {len(plan.cells)} students in {len(plan.groups)} groups")


@app.command()
def study(
    source: Source = DEFAULT_RECIPE,
    overrides: Overrides = None,
    quick: Quick = False,
    output: Output = Path("runs"),
    engine: Annotated[str, typer.Option("--engine", help="local, or ray: groups fanned out over a cluster")] = "local",
    address: Annotated[
        str | None, typer.Option("--address", help="of the Ray cluster; default: one of its own on this machine")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Answer the question: train the teachers, distil the grid, measure diffusion, advise, and report.

    Examples: `tosmooth study` · `tosmooth study --quick` · `tosmooth study my-study.yaml student.epochs=3 name=shorter`

    Started again with the same command, it goes on where it stopped. In several processes:
    `torchrun --nproc-per-node 4 -m tosmooth study my-study.yaml`
    """
    if engine not in {"local", "ray"}:
        raise ConfigError([f"--engine: unknown engine {engine!r}; {did_you_mean(engine, ['local', 'ray'])}"])
    if address is not None and engine != "ray":
        raise ConfigError(["--address: belongs to --engine ray"])
    config = _read(source, overrides, quick=quick)

    from tosmooth.study.run import run_study
    from tosmooth.study.summary import print_summary

    train = None
    if engine == "ray":
        from tosmooth.study.ray_engine import train_with_ray

        train = train_with_ray(address)
    results = run_study(config, output, train=train)
    if not speaks():
        return
    if as_json:
        paths = {"study": str(results.path), "report": str(results.path / "report.html")}
        _print_json({"verdict": results.verdict, "advice": results.advice} | paths)
    else:
        print_summary(results, out)


@app.command()
def search(
    source: Source = DEFAULT_RECIPE,
    overrides: Overrides = None,
    budget: Annotated[
        float | None,
        typer.Option("--budget", help="share of the whole grid's student-epochs; default 0.4, or the least possible"),
    ] = None,
    eta: Annotated[float, typer.Option("--eta", help="the best 1/eta of a rung go on")] = 3.0,
    quick: Quick = False,
    output: Output = Path("runs"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print the rungs and their costs, and do nothing")] = False,
    replay: Annotated[
        Path | None,
        typer.Option("--replay", metavar="STUDY", help="say what a search would have picked in this finished study"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find the best setting of a grid by successive halving, for a share of what the whole grid costs.

    Examples: `tosmooth search --budget 0.4` · `tosmooth search my-study.yaml --dry-run` ·
    `tosmooth search --replay runs/fashion-mnist`

    Started again with the same command, it goes on where it stopped.
    """
    if replay is not None:
        if dry_run or quick or overrides or source != DEFAULT_RECIPE:
            raise ConfigError(["--replay: goes with --budget, --eta and --json only; the study has its configuration"])
        from tosmooth.search.replay import replay as replay_search

        found = replay_search(replay, budget, eta)
    else:
        config = _read(source, overrides, quick=quick)
        if dry_run:
            from tosmooth.search.plan import planned

            found = planned(config, budget, eta)[1]
        else:
            from tosmooth.search.run import run_search

            result = run_search(config, output, budget=budget, eta=eta)
            found = result.record | {"path": str(result.path)}
    if not speaks():
        return
    if as_json:
        from tosmooth.study.directory import plain

        _print_json(plain(found))
        return
    from tosmooth.search import summary as search_summary

    if replay is not None:
        search_summary.print_replay(found, out)
    elif dry_run:
        search_summary.print_plan(found, out)
    else:
        search_summary.print_search(result, out, preview=config.preview)


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

    rows = train_only_teachers(_read(source, overrides, quick=quick), output)
    _print_rows(rows, as_json)


@app.command()
def distill(
    source: Source = DEFAULT_RECIPE,
    overrides: Overrides = None,
    teacher: Annotated[
        Path | None, typer.Option("--teacher", help="weights of the teacher (teacher.model says which model)")
    ] = None,
    alpha: Annotated[
        float | None, typer.Option("--alpha", help="label smoothing of that teacher, as far as known")
    ] = None,
    temperature: Annotated[float, typer.Option("--temperature", "-T", help="distillation temperature")] = 1.0,
    seed: Annotated[int, typer.Option("--seed", help="seed of the student")] = 0,
    output: Output = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """Distil one student from one teacher at one temperature.

    Without --teacher the teacher is trained first, smoothed by --alpha (default 0.1).

    Example: `tosmooth distill fashion-mnist --teacher runs/fashion-mnist/teachers/a0.1-s0/model.safetensors --alpha
        0.1 -T 1`
    """
    from tosmooth.config_reading import apply_override, load_config, read_source
    from tosmooth.study.single import distill_one

    smoothing = 0.1 if alpha is None else alpha
    extra = [
        f"teacher.label_smoothing=[{smoothing}]",
        f"student.temperatures=[{temperature}]",
        f"student.seeds=[{seed}]",
    ]
    source, given = _arguments(source, overrides)
    extra += given
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
        raw["name"] = f"{raw.get('name', 'study')}-distill-a{smoothing:g}-T{temperature:g}-s{seed}"
    _print_rows(distill_one(load_config(raw, extra), output), as_json)


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

    _print_rows([evaluate_weights(_read(source, overrides), weights, role, split)], as_json)


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
        *_arguments(source, overrides),
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

        _print_json(plain(found.as_dict()) | {"written": [str(file) for file in written]})
    else:
        print_audit(found, written, out)


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
        _print_json({"report": str(written), "verdict": results.verdict})
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
        _print_json({"fit": not failed, "checks": [check.as_dict() for check in checks]})
    if failed:
        raise typer.Exit(1)


def _print_json(value: Any) -> None:
    """Letters as they are, unless there is something among them that a terminal would obey."""
    text = json.dumps(value, ensure_ascii=False)
    print(text if shown(text) == text else json.dumps(value))


def _print_rows(rows: list[dict[str, Any]], as_json: bool) -> None:
    if not speaks():
        return
    if as_json:
        _print_json(rows)
        return
    for row in rows:
        for key, value in row.items():
            out.print(f"{key:>16}  {markup(f'{value:.4f}' if isinstance(value, float) else value)}")
        out.print()


def _run(command: Callable[[], Any]) -> int:
    """Run the command line and turn errors into one message and an exit code."""
    try:
        command()
    except PeerError as error:
        if not error.told:
            err.print(f"[red]error:[/red] {markup(error, lines=True)}", soft_wrap=True)
        return 1
    except Interrupted as error:
        if speaks():
            err.print(markup(error, lines=True), soft_wrap=True)
        return 128 + error.signal_number
    except ConfigError as error:
        if not speaks():  # every process of a run reads the same configuration
            return 2
        err.print(f"[red]error:[/red] {markup(error, lines=True)}", soft_wrap=True)
        return 2
    except TosmoothError as error:
        err.print(f"[red]error:[/red] {markup(error, lines=True)}", soft_wrap=True)
        return 1
    except OSError as error:  # a disk that fills up, a folder that turns read-only
        err.print(
            f"[red]error:[/red] {markup(error, lines=True)}; the same command goes on from the last checkpoint",
            soft_wrap=True,
        )
        return 1
    except SystemExit as exit_:  # how typer ends, Ctrl-C included
        if exit_.code == 130 and speaks():
            err.print("interrupted; the same command goes on from what was reached")
        return exit_.code if isinstance(exit_.code, int) else 1
    return 0


def main() -> None:
    """Entry point of the `tosmooth` command."""
    sys.exit(_run(app))


if __name__ == "__main__":
    main()
