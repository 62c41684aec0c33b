"""Run a study from its configuration to its report.

The order matters: teachers, students, diffusion and projection on training and validation data, advice, and only then
the test split. A study stopped half-way goes on with the same command: finished models are not trained again, and the
others go on from their last checkpoint.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from tosmooth.advice.advise import advise, conclude
from tosmooth.advice.caveats import Rules
from tosmooth.advice.comparisons import read_judged
from tosmooth.config.schema import StudyConfig
from tosmooth.folder.claim import grid_changes
from tosmooth.folder.growth import caveats
from tosmooth.folder.paths import ADVICE_FILE, VERDICT_FILE
from tosmooth.folder.reading import read_unreadable
from tosmooth.folder.results import StudyResults, load_study
from tosmooth.folder.writing import load_json, write_json
from tosmooth.report.build import build_report
from tosmooth.study.answering_time import answering_time
from tosmooth.study.context import Context
from tosmooth.study.diffusion import analyse_diffusion, find_similarity
from tosmooth.study.environment import describe_environment
from tosmooth.study.given_outputs import refuse_outputs
from tosmooth.study.later_seeds import facts_of
from tosmooth.study.objectives import write_objectives
from tosmooth.study.on_test import read_test
from tosmooth.study.plan import Cell, Teacher
from tosmooth.study.precision import precision_facts
from tosmooth.study.precision_trial import settle_precision
from tosmooth.study.progress import StudyProgress
from tosmooth.study.projection import analyse_projection, given_classes
from tosmooth.study.results import (
    control_table,
    correct_of,
    require_finished,
    teacher_table,
    write_results,
)
from tosmooth.study.separation import measure_separation
from tosmooth.study.similarity import given_similarity
from tosmooth.study.smoothing_views import analyse_views
from tosmooth.study.stages import train_grid
from tosmooth.study.teacher_answers import filling_work
from tosmooth.study.until_sure import UntilSure, check_until_sure, train_until_sure
from tosmooth.tasks.base import StudyData
from tosmooth.words.answer import forwarded
from tosmooth.words.conclusions import conclusions
from tosmooth.words.numbers import count_of
from tosmooth.words.wording import wording_of


def run_study(
    config: StudyConfig,
    root: str | Path = "runs",
    progress: StudyProgress | None = None,
    *,
    train: Callable[[Context], None] | None = None,
    until_sure: UntilSure | None = None,
) -> StudyResults:
    """Train, measure, advise, read the test split, and write the report under ``root/<config.name>``.

    Args:
        config: a checked configuration, from `load_config`.
        root: folder that holds the studies.
        progress: where progress is shown; None = a bar on stderr.
        train: how the grid is trained; None = here (`train_grid`).
        until_sure: add seeds until the answer is sure, or this is reached; in this process. None: the grid as it is.

    Raises:
        TosmoothError: anything wrong with the data, the models, the folder or the training, in one sentence.
        Interrupted: a signal asked for the end; all progress is saved.
    """

    def check(config: StudyConfig, data: StudyData) -> None:
        check_analysis(config, data)
        if until_sure is not None:
            check_until_sure(config, data, until_sure, Path(root))

    with progress or StudyProgress() as shown, Context.open(config, Path(root), shown, check) as context:
        started = datetime.now(UTC)
        clock = time.perf_counter()
        on_main = context.compute.processes.on_main
        expect_work(context)
        if until_sure is not None:
            train_until_sure(context, until_sure)
        else:
            (train or train_grid)(context)
        settle_precision(context)  # which others may have done, or an earlier run
        context = context.at_own_rates()
        done = on_main(lambda: require_finished(context))

        shown.stage("measuring diffusion")
        measure_separation(context, done)
        diffusion, advice = on_main(lambda: _conclude(context, done))

        shown.stage("reading the test split, once")
        read_test(context, done)

        def finish() -> None:
            results = write_results(context, diffusion)
            shown.stage("comparing the views on smoothing")
            analyse_views(context, done, results)
            verdict = conclude(
                advice,
                results,
                control_table(context),
                preview=config.preview,
                metric=context.task.metric,
                correct=correct_of(context, "test"),
            )
            write_json(context.directory.analysis / VERDICT_FILE, verdict)
            taken = answering_time(context, done, advice)
            write_environment(context, started, time.perf_counter() - clock, taken)
            shown.stage("writing the report")
            if count := len(read_unreadable(context.directory.unreadable)):
                where = context.directory.unreadable
                shown.note(f"{count_of(count, 'image')} could not be read and were left out: {where}")
            build_report(context.directory.path, shown.note)
            if context.tracking is not None:
                context.tracking.conclude(*_conclusion(advice, verdict, results, context))

        context.write_unreadable()
        on_main(finish)
        return on_main(lambda: load_study(context.directory.path))


def _conclusion(
    advice: Mapping[str, Any], verdict: Mapping[str, Any], results: pd.DataFrame, context: Context
) -> tuple[dict[str, str], dict[str, float], Path]:
    """What trackers are told at the end: the sentences, the test figures of all models, and the report."""
    wording = wording_of(advice, results, context.task.metric, preview=context.config.preview)
    concluded = conclusions(advice, wording)
    sentences: dict[str, str] = {}
    if verdict["answer"] is not None:  # of the recommended setting there is a test figure
        sentences["verdict"] = forwarded(verdict["answer"], wording)
    sentences |= {key: concluded[key] for key in ("effect", "rule") if key in concluded}
    column = context.task.metric.test
    figures = {f"students/{row['cell']}/{column}": row.get(column) for row in results.to_dict("records")}
    teachers = teacher_table(context).to_dict("records")
    figures |= {f"teachers/{row['teacher']}/{column}": row.get(column) for row in teachers}
    known = {key: float(value) for key, value in figures.items() if value is not None and value == value}
    return sentences, known, context.directory.report


def _conclude(context: Context, done: Mapping[str, Cell]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Analyse the trained models on training and validation data, and freeze the advice; η per cell, and the advice."""
    diffusion = analyse_diffusion(context, find_similarity(context), done)
    analyse_projection(context, done)
    results = write_results(context, diffusion)
    write_objectives(context, diffusion, results)
    path = context.directory.analysis / ADVICE_FILE
    if not path.is_file():  # once frozen, it stays
        metric = context.task.metric
        config = context.config
        rules = Rules(
            config.analysis.margin,
            config.preview,
            context.selection,
            metric,
            config.teacher.smoothing,
            {"optimizer": config.student.optimizer.name, "epochs": config.student.epochs},
            tuple(config.student.peak_rates),
            facts_of(context.directory),
        )
        judged = read_judged({name: context.folder(cell) for name, cell in done.items()}, metric, results)
        advice = advise(
            results,
            teacher_table(context),
            diffusion,
            rules,
            judged,
            controls=control_table(context),
            correct=correct_of(context, "val"),
        )
        advice["caveats"] += caveats(grid_changes(context.directory))
        write_json(path, advice)
    return diffusion, load_json(path, dict, "delete it, and the same command makes it again")


def check_analysis(config: StudyConfig, data: StudyData) -> None:
    """Mistakes of the analysis section that only the data can reveal come out before any work."""
    refuse_outputs(config)
    given_similarity(config, data)
    given_classes(config, data)


def expect_work(context: Context) -> None:
    """Tell the progress bar the whole of the work, less what an earlier run has done."""
    total = skipped = 0.0
    trained, taught = len(context.data.train), len(context.taught)
    sections: list[tuple[Any, int, tuple[Teacher | Cell, ...]]] = [
        (context.config.teacher, trained, tuple(teacher for teacher in context.plan.teachers if not teacher.given)),
        (context.config.student, taught, context.plan.students),
    ]
    for section, samples, owners in sections:
        for owner in owners:
            work = float(samples * section.epochs * context.parameters_of(owner))
            total += work
            skipped += work if context.read_record(owner) is not None else 0.0
    if any(context.read_record(cell) is None for cell in context.plan.students):
        total += filling_work(context)
    context.progress.expect(total)
    context.progress.skip(skipped)
    if skipped:
        context.progress.note(f"going on with {context.directory.path}: finished models are kept")


def write_environment(
    context: Context, started: datetime, seconds: float, milliseconds: Mapping[str, Any] | None = None
) -> None:
    """Versions and hardware, and the time taken, by the study and by its best student; a continued study adds up."""
    path = context.directory.environment
    before = load_json(path, dict, "delete it") if path.is_file() else {}
    times = {
        "started": before.get("started", started.isoformat(timespec="seconds")),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(before.get("seconds", 0) + seconds, 1),
    }
    views = context.stored_views
    stored = "stored once" if views == 1 else f"stored once for {views} views of each image"
    taught = {"teacher_logits": "computed live" if views is None else stored}
    # What a reader must know of the data before trusting a figure: where they are from, how they were split.
    notes = {"notes": list(context.data.notes)}
    speed = {} if milliseconds is None else {"milliseconds_per_image": dict(milliseconds)}
    ran = describe_environment(context.compute) | precision_facts(context)
    write_json(path, ran | taught | times | speed | notes)
