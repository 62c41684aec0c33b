"""`validate`, `study` and `search`: what works on a whole grid."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tosmooth.cli import completion
from tosmooth.cli.common import (
    AsJson,
    Output,
    Overrides,
    Quick,
    Source,
    answer,
    app,
    err,
    out,
    print_json,
    read,
)
from tosmooth.cli.running import DryRun, duration, estimate, run
from tosmooth.errors import ConfigError, did_you_mean
from tosmooth.launch import speaks
from tosmooth.recipes import DEFAULT_RECIPE


@app.command()
def validate(
    source: Source = DEFAULT_RECIPE,
    overrides: Overrides = None,
    explain: Annotated[bool, typer.Option("--explain", help="say what each key means")] = False,
    as_json: AsJson = False,
) -> None:
    """Check a configuration, and print it whole; nothing is run.

    Example:
      tosmooth validate my-study.yaml 'student.temperatures=[1,4]'
    """
    from tosmooth.config.schema import dump_config, explained
    from tosmooth.study.plan import make_plan

    config = read(source, overrides)
    plan = make_plan(config)
    summary = {
        "name": config.name,
        "teachers": len(plan.teachers),
        "students": len(plan.students),
        "groups": len(plan.groups),
    }
    if as_json:
        print_json(summary | {"config": config.model_dump(mode="json")})
        return
    out.out(explained(config) if explain else dump_config(config), end="", highlight=False)
    controls = sum(map(len, plan.controls))
    untaught = f" ({controls} of them without a teacher)" if controls else ""
    err.print(
        f"valid: {len(plan.teachers)} teachers, {len(plan.students)} students{untaught} in {len(plan.groups)} groups"
    )


@app.command()
def study(
    source: Source = DEFAULT_RECIPE,
    overrides: Overrides = None,
    quick: Quick = False,
    output: Output = Path("runs"),
    engine: Annotated[
        str,
        typer.Option("--engine", help="local, or ray (a cluster)", autocompletion=completion.names("engines")),
    ] = "local",
    address: Annotated[
        str | None, typer.Option("--address", help="of the Ray cluster; default: one on this machine")
    ] = None,
    until_sure: Annotated[
        bool, typer.Option("--until-sure", help="add seeds until the answer is sure", show_default=False)
    ] = False,
    budget: Annotated[str | None, typer.Option("--budget", help="its time, such as 30m or 2h")] = None,
    seeds_at_most: Annotated[int | None, typer.Option("--seeds-at-most", help="its seeds; default 24")] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Train teachers, distil the grid, measure, advise, report.

    Started again with the same command, it goes on where it stopped.

    Examples:
      tosmooth study --quick
      tosmooth study my-study.yaml student.epochs=3 name=shorter
      tosmooth study my-study.yaml --until-sure --budget 2h
      torchrun --nproc-per-node 4 -m tosmooth study my-study.yaml
    """
    wrong = []
    if engine not in {"local", "ray"}:
        wrong.append(f"--engine: unknown engine {engine!r}; {did_you_mean(engine, ['local', 'ray'])}")
    if address is not None and engine != "ray":
        wrong.append("--address: belongs to --engine ray")
    if dry_run and engine == "ray":
        wrong.append("--dry-run: measures this machine alone; leave out --engine ray")
    if until_sure and engine == "ray":
        wrong.append("--until-sure: works in one process; leave out --engine ray")
    for option, given in (("--budget", budget), ("--seeds-at-most", seeds_at_most)):
        if given is not None and not until_sure:
            wrong.append(f"{option}: belongs to --until-sure")
    seconds = duration(budget) if budget is not None else None
    if budget is not None and not seconds:
        wrong.append(f"--budget: a time such as 90s, 30m, 2h or 1h30m, above 0; got {budget!r}")
    config = None
    try:
        config = read(source, overrides, quick=quick)
    except ConfigError as error:
        if not wrong:
            raise
        wrong += error.mistakes
    wanted = None
    if until_sure:
        from tosmooth.study.until_sure import UntilSure, mistakes_of

        wanted = UntilSure(24 if seeds_at_most is None else seeds_at_most, seconds or None)
        wrong += mistakes_of(config, wanted) if config is not None else []
    if config is None or wrong:
        raise ConfigError(wrong)

    if dry_run:
        estimate(config, output, until_sure=wanted, as_json=as_json)
        return
    train = None
    if engine == "ray":
        from tosmooth.study.ray_engine import train_with_ray

        train = train_with_ray(address)
    run(config, output, train=train, until_sure=wanted, as_json=as_json)


@app.command()
def search(
    source: Source = DEFAULT_RECIPE,
    overrides: Overrides = None,
    budget: Annotated[
        float | None,
        typer.Option("--budget", help="share of the grid's cost; default 0.4, or the least possible"),
    ] = None,
    eta: Annotated[float, typer.Option("--eta", help="the best 1/eta of a rung go on")] = 3.0,
    quick: Quick = False,
    output: Output = Path("runs"),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="print rungs and costs, do nothing", show_default=False)
    ] = False,
    replay: Annotated[
        Path | None,
        typer.Option(
            "--replay",
            metavar="STUDY",
            help="what a search would have picked in this finished study",
            autocompletion=completion.studies,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Only the best setting of the grid, for a share of its cost.

    Successive halving. Started again with the same command, it goes on where
    it stopped.

    Examples:
      tosmooth search --budget 0.4
      tosmooth search my-study.yaml --dry-run
      tosmooth search --replay runs/fashion-mnist
    """
    if replay is not None:
        if dry_run or quick or overrides or source != DEFAULT_RECIPE:
            raise ConfigError(["--replay: goes with --budget, --eta and --json only; the study has its configuration"])
        from tosmooth.search.replay import replay as replay_search

        found = replay_search(replay, budget, eta)
    else:
        config = read(source, overrides, quick=quick)
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
        from tosmooth.folder.writing import plain

        print_json(plain(found))
        return
    from tosmooth.search import summary as search_summary
    from tosmooth.tasks.find import find_task

    if replay is not None:
        search_summary.print_replay(found, answer)
    elif dry_run:
        search_summary.print_plan(found, answer)
    else:
        search_summary.print_search(result, out, find_task(config.task).metric, preview=config.preview)
