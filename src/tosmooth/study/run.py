"""Run a study from its configuration to its report.

The order matters: teachers, students, diffusion and projection on training and validation data, advice, and only then
the test split. A study stopped half-way goes on with the same command: finished models are not trained again.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tosmooth.config import StudyConfig
from tosmooth.data.base import ImageData
from tosmooth.errors import StudyError
from tosmooth.report.build import build_report
from tosmooth.study.advise import Rules, advise, final_verdict
from tosmooth.study.context import Context
from tosmooth.study.diffusion import analyse_diffusion, find_similarity, given_similarity
from tosmooth.study.directory import write_json
from tosmooth.study.environment import describe_environment
from tosmooth.study.plan import Cell, Teacher
from tosmooth.study.progress import StudyProgress
from tosmooth.study.projection import analyse_projection, given_classes
from tosmooth.study.results import (
    StudyResults,
    failures,
    finished_cells,
    load_study,
    read_test,
    teacher_table,
    write_results,
)
from tosmooth.study.teaching import StudyTeaching, filling_work
from tosmooth.study.training import train_students, train_teachers


def run_study(config: StudyConfig, root: str | Path = "runs", progress: StudyProgress | None = None) -> StudyResults:
    """Train, measure, advise, read the test split, and write the report under ``root/<config.name>``.

    Args:
        config: a checked configuration, from `load_config`.
        root: folder that holds the studies.
        progress: where progress is shown; None = a bar on stderr.

    Raises:
        TosmoothError: anything wrong with the data, the models, the folder or the training, in one sentence.
    """
    with progress or StudyProgress() as shown:
        context = Context.open(config, Path(root), shown, _check_analysis)
        started = datetime.now(UTC)
        clock = time.perf_counter()
        _expect_work(context)
        train_teachers(context)
        teaching = StudyTeaching(context)
        for group in context.plan.groups:
            train_students(context, group, teaching)
        done = finished_cells(context)
        if not done:
            raise StudyError("no student was trained to the end:\n" + "\n".join(failures(context)))

        shown.stage("measuring diffusion")
        diffusion = analyse_diffusion(context, find_similarity(context), done)
        analyse_projection(context, done)
        results = write_results(context, diffusion)

        advice_path = context.directory.analysis / "advice.json"
        if not advice_path.is_file():  # once frozen, it stays
            rules = Rules(config.analysis.margin, config.preview, context.selection)
            write_json(advice_path, advise(results, teacher_table(context), diffusion, rules))
        advice: dict[str, Any] = json.loads(advice_path.read_text(encoding="utf-8"))

        shown.stage("reading the test split, once")
        read_test(context, done)
        results = write_results(context, diffusion)
        write_json(context.directory.analysis / "verdict.json", final_verdict(advice, results, preview=config.preview))
        _write_environment(context, started, time.perf_counter() - clock)

        shown.stage("writing the report")
        build_report(context.directory.path)
    return load_study(context.directory.path)


def _check_analysis(config: StudyConfig, data: ImageData) -> None:
    """Mistakes of the analysis section that only the data can reveal come out before any work."""
    given_similarity(config, data)
    given_classes(config, data)


def _expect_work(context: Context) -> None:
    """Tell the progress bar the whole of the work, less what an earlier run has done."""
    images = len(context.data.train)
    total = skipped = 0.0
    sections: list[tuple[Any, tuple[Teacher | Cell, ...]]] = [
        (context.config.teacher, context.plan.teachers if context.config.teacher.train else ()),
        (context.config.student, context.plan.cells),
    ]
    for section, owners in sections:
        work = float(images * section.epochs * context.count_parameters(section.model))
        total += work * len(owners)
        skipped += work * sum(context.read_record(owner) is not None for owner in owners)
    if any(context.read_record(cell) is None for cell in context.plan.cells):
        total += filling_work(context)
    context.progress.expect(total)
    context.progress.skip(skipped)
    if skipped:
        context.progress.note(f"going on with {context.directory.path}: finished models are kept")


def _write_environment(context: Context, started: datetime, seconds: float) -> None:
    """Versions and hardware, and the time taken; a continued study adds up its runs."""
    path = context.directory.path / "environment.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    times = {
        "started": before.get("started", started.isoformat(timespec="seconds")),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(before.get("seconds", 0) + seconds, 1),
    }
    views = context.stored_views
    taught = {"teacher_logits": "computed live" if views is None else f"stored once for {views} views of each image"}
    write_json(path, describe_environment(context.compute) | taught | times)
