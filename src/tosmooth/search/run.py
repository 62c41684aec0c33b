"""Find the best setting of a grid without training all of it: successive halving on shared teachers.

The candidates are the settings of the study's grid. All start; at the end of each rung the best by validation go on,
from their checkpoints and on the same learning-rate schedule, so whoever reaches the end has the very weights that the
whole grid would have given it. The test split is read at the end, for the winner alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tosmooth.advice.units import Setting
from tosmooth.analysis.inference import t_interval
from tosmooth.config.schema import StudyConfig
from tosmooth.errors import ConfigError, StudyError
from tosmooth.folder.curves import read_curve
from tosmooth.folder.paths import CURVE_FILE, SEARCH_FILE
from tosmooth.search.findings import conclude
from tosmooth.search.halving import Rungs, climb, ranked
from tosmooth.search.learning_curves import score_at
from tosmooth.search.plan import NO_VALIDATION, SUFFIX, planned
from tosmooth.search.record import (
    begun_before,
    candidates_of,
    named,
    score_table,
    stored_means,
    write_record,
)
from tosmooth.search.teacher_reuse import take_over_teachers
from tosmooth.study.context import Context
from tosmooth.study.given_outputs import refuse_outputs
from tosmooth.study.on_test import read_test_of
from tosmooth.study.plan import Cell
from tosmooth.study.precision_trial import settle_precision
from tosmooth.study.progress import StudyProgress
from tosmooth.study.projection import given_classes
from tosmooth.study.run import write_environment
from tosmooth.study.stages import train_students, train_teachers
from tosmooth.study.teacher_answers import StudyTeaching, filling_work
from tosmooth.tasks.base import StudyData


@dataclass(frozen=True)
class SearchResult:
    """A finished search.

    Attributes:
        path: its folder.
        record: the content of `search.json`.
    """

    path: Path
    record: dict[str, Any]


def run_search(
    config: StudyConfig,
    output: str | Path = "runs",
    *,
    budget: float | None = None,
    eta: float = 3.0,
    progress: StudyProgress | None = None,
) -> SearchResult:
    """Search the grid of a configuration; the results are under ``output/<config.name>-search``.

    Stopped at any moment, the same call goes on: finished rungs are not run again.

    Args:
        config: a checked configuration, from `load_config`; its grid is the set of candidates.
        output: folder that holds the studies. Finished teachers of a study of the same name and configuration there
            are taken over.
        budget: share of the whole grid's student-epochs, in (0, 1]; None = 0.4, or the least possible if that is more.
        eta: the best 1/η of a rung go on; above 1.
        progress: where progress is shown; None = a bar on stderr.

    Raises:
        ConfigError: there is no validation split, or the budget or eta is wrong.
        TosmoothError: anything wrong with the data, the models, the folder or the training, in one sentence.
        Interrupted: a signal asked for the end; all progress is saved.
    """
    plan, fresh = planned(config, budget, eta)
    root = Path(output)
    rates, rate = config.student.learning_rates, config.student.shared_rate
    student = config.student.model_copy(update={"learning_rates": [rate]})
    config = config.model_copy(update={"name": config.name + SUFFIX, "student": student})
    path = root / config.name / SEARCH_FILE

    def check(config: StudyConfig, data: StudyData) -> None:
        if not len(data.validation):
            raise ConfigError([NO_VALIDATION])
        refuse_outputs(config)
        given_classes(config, data)
        begun_before(path, fresh)  # another search is refused before its folder is touched

    with progress or StudyProgress() as shown, Context.open(config, root, shown, check) as context:
        started, clock = datetime.now(UTC), time.perf_counter()
        processes = context.compute.processes
        record = processes.on_main(lambda: begun_before(path, fresh))
        search = _Search(context, plan, record)
        if len(rates) > 1:
            shown.note(f"a search compares settings at one learning rate: {student.peak_rate(rate):g}")
        taken = processes.on_main(lambda: take_over_teachers(context, root / config.name.removesuffix(SUFFIX)))
        if taken:
            shown.note(f"teachers {', '.join(taken)} are those of {root / config.name.removesuffix(SUFFIX)}")
        search.run()
        settle_precision(context)  # which an earlier run may have done
        processes.on_main(lambda: write_environment(context, started, time.perf_counter() - clock))
        return SearchResult(context.directory.path, search.record)


class _Search:
    """A search at work; `record` is what `search.json` holds."""

    def __init__(self, context: Context, plan: Rungs, record: dict[str, Any]) -> None:
        self.context, self.plan, self.record = context, plan, record
        self._metric, self._judged_by = context.task.metric, context.task.metric.judged_by
        self._cells = {setting: tuple(own) for setting, own in candidates_of(context.plan.cells).items()}

    def run(self) -> None:
        context, on_main = self.context, self.context.compute.processes.on_main
        self._expect_work()
        if not all(_done(rung) for rung in self.record["rungs"]):
            with self._timed(self.record.setdefault("teaching", {})):
                train_teachers(context)
                self._teaching = StudyTeaching(context)
                self._teaching.of(context.plan.teachers)  # what is stored of them is no part of the first rung's time
        decisions = climb(self.plan, list(self._cells), self._judge, self._judged_by.sign)
        (winner,) = decisions[-1].kept
        if "winner" not in self.record:  # once frozen, it stays
            margin = context.config.analysis.margin
            self.record |= conclude(self.record, winner, context.plan.cells, margin, self._metric)
            self._save()
        if "test" not in self.record:
            context.progress.stage("reading the test split, once, for the winner")
            column, won = self._metric.test, self.record["winner"]["cells"]
            tested = [cell for cell in self._cells[winner] if cell.name in won]
            read_test_of(context, tested)
            scores = on_main(lambda: {cell.name: (context.read_record(cell) or {})[column] for cell in tested})
            interval = t_interval(score_table({winner: scores}, context.plan.cells).loc[winner].dropna().to_numpy())
            told = {"mean": interval.mean, "low": interval.low, "high": interval.high, "n": interval.n}
            self.record["test"] = {column: told, "by_cell": scores}
            self._save()

    def _judge(self, number: int, going: Sequence[Setting]) -> Mapping[Setting, float]:
        """Train the candidates to the end of a rung, and say how good they are there; finished rungs are only read."""
        rung, entry = self.plan.rungs[number], self.record["rungs"][number]
        if not _done(entry):
            chosen = set(going)
            with self._timed(entry):
                for group in self.context.plan.groups:
                    cells = [cell for cell in group if cell.setting in chosen]
                    train_students(self.context, cells, self._teaching, range(rung.start, rung.stop))
            by_cell = self.context.compute.processes.on_main(lambda: self._scores(going, rung.stop))
            after = self.plan.rungs[number + 1].candidates if number + 1 < len(self.plan.rungs) else 1
            entry["scores"] = _rows(by_cell, self.context.plan.cells, after, self._judged_by.sign)
            entry["status"] = "done"
            self._save()
        return stored_means(entry)

    def _scores(self, going: Sequence[Setting], epoch: int) -> dict[Setting, dict[str, float]]:
        """Scores of all candidates that have any; a student that failed has none."""
        found: dict[Setting, dict[str, float]] = {}
        for setting in going:
            for cell in self._cells[setting]:
                if (self.context.read_record(cell) or {}).get("status") == "failed":
                    continue
                folder = self.context.folder(cell)
                remedy = f"delete {folder}, and the same command goes on"
                curve = read_curve(folder / CURVE_FILE, remedy, self._judged_by.val)
                if len(curve) < epoch:
                    raise StudyError(f"{folder / CURVE_FILE} ends before epoch {epoch}; {remedy}")
                found.setdefault(setting, {})[cell.name] = score_at(
                    curve, epoch, self.record["selection"], lower_is_better=self._judged_by.lower_is_better
                )
        return found

    def _expect_work(self) -> None:
        """Tell the progress bar what the rungs that are left cost, and the teachers."""
        context = self.context
        left = [rung for rung, entry in zip(self.plan.rungs, self.record["rungs"], strict=True) if not _done(entry)]
        student = sum(context.parameters_of(cell) for cell in context.plan.cells) / len(context.plan.cells)
        total = float(len(context.taught) * student * self.record["replicates"] * sum(rung.cost for rung in left))
        section = context.config.teacher
        todo = context.unfinished([teacher for teacher in context.plan.teachers if not teacher.given])
        total += float(len(context.data.train) * section.epochs * context.count_parameters(section.model) * len(todo))
        if left:
            total += filling_work(context)
        context.progress.expect(total)
        if len(left) < len(self.plan.rungs):
            context.progress.note(f"going on with {context.directory.path}: finished rungs are kept")

    def _save(self) -> None:
        self.context.compute.processes.on_main(lambda: write_record(self.context.directory.path, self.record))

    @contextmanager
    def _timed(self, entry: dict[str, Any]) -> Iterator[None]:
        """Add the seconds that the block takes; where a run was killed in it, its time is lost, and that is noted."""
        entry["timed"] = entry.get("timed", True) and entry.get("status") != "running"
        entry["status"] = "running"
        self._save()
        started = time.perf_counter()
        ended = False
        try:
            yield
            ended = True
        finally:
            entry["seconds"] = round(entry.get("seconds", 0.0) + time.perf_counter() - started, 2)
            entry["status"] = "trained" if ended else "stopped"
            if not ended and self.context.compute.processes.main:  # by itself: the other processes may be anywhere
                with suppress(OSError):  # what brought us here tells more than a full disk
                    write_record(self.context.directory.path, self.record)


def _done(entry: Mapping[str, Any]) -> bool:
    return bool(entry["status"] == "done")


def _rows(
    by_cell: Mapping[Setting, Mapping[str, float]], cells: Sequence[Cell], going_on: int, sign: int
) -> list[dict[str, Any]]:
    """The scores of a rung as `search.json` holds them, best first."""
    table = score_table(by_cell, cells).mean(axis=1) if by_cell else {}
    means = {setting: float(table[setting]) for setting in by_cell}
    return [
        named(setting) | {"mean": means[setting], "by_cell": dict(by_cell[setting]), "kept": rank < going_on}
        for rank, setting in enumerate(ranked(means, sign))
    ]
