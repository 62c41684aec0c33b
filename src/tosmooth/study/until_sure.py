"""Run a study until it is sure: all settings with the first seeds, then more seeds for those that may be the best one.

`advice.until_sure` says after each look who is left and whether to go on. What it said is in `until-sure.json` before
anything is trained by it, so a study that is stopped at any moment goes on with the same command to the same students.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tosmooth.advice.advise import unlike_of
from tosmooth.advice.until_sure import Look, confidence_of, look, looks_at
from tosmooth.config.schema import StudyConfig
from tosmooth.errors import ConfigError, StudyError
from tosmooth.folder.claim import take_back_advice
from tosmooth.folder.paths import UNTIL_SURE_FILE, StudyDirectory
from tosmooth.launch import processes
from tosmooth.study.context import Context
from tosmooth.study.later_seeds import (
    later_seeds,
    named,
    next_seeds,
    out_of,
    read_looks,
    with_seeds,
    write_looks,
)
from tosmooth.study.plan import Cell, make_plan
from tosmooth.study.progress import clock
from tosmooth.study.results import control_table, correct_of, require_finished, standing_table
from tosmooth.study.stages import train_grid, train_students, train_teachers
from tosmooth.study.teacher_answers import StudyTeaching
from tosmooth.tasks.base import StudyData
from tosmooth.words.answer import why_it_ended
from tosmooth.words.numbers import count_of
from tosmooth.words.settings import describe, varied_keys

MOST_SEEDS = 2**31  # a seed is below this


@dataclass(frozen=True)
class UntilSure:
    """What a study that adds seeds until it is sure may cost.

    Attributes:
        seeds_at_most: seeds in all, those of the configuration among them.
        budget: seconds of wall time after which no further seed is begun, over all runs; None = no limit. The first
            seeds are always trained whole.
    """

    seeds_at_most: int = 24
    budget: float | None = None


def mistakes_of(config: StudyConfig, wanted: UntilSure) -> list[str]:
    """Why this study cannot be run until sure, as far as its configuration tells; empty where it can."""
    seeds, found = config.student.seeds, []
    if len(seeds) < 2:
        found.append(
            "student.seeds: --until-sure begins with 2 seeds or more: one says nothing of chance (student.seeds=[0,1])"
        )
    if wanted.seeds_at_most <= len(seeds):
        found.append(
            f"--seeds-at-most: {wanted.seeds_at_most} leaves nothing to add to the {count_of(len(seeds), 'seed')} of "
            "student.seeds; give more"
        )
    elif (last := max([*seeds, *config.paired_seeds.values()])) + wanted.seeds_at_most - len(seeds) >= MOST_SEEDS:
        found.append(f"--seeds-at-most: {wanted.seeds_at_most} would go on after seed {last}, beyond 2³¹")
    if wanted.budget is not None and not wanted.budget > 0:
        found.append("--budget: must be more than nothing, such as 30m or 2h")
    if len(config.teacher.seeds) > 1 and not config.paired_seeds:
        found.append(
            "--until-sure: adds student seeds, and where all learn from teachers of several seeds these cannot settle "
            "whether to smooth: the teachers are what is compared. With student.pairing=paired each seed brings its own"
        )
    if config.paired_seeds and any(config.teacher.is_given(alpha) for alpha in config.teacher.label_smoothing):
        found.append(
            "--until-sure: each further seed brings teachers of its own, and given teachers cannot be trained again; "
            "give one teacher seed"
        )
    if config.student.models:
        found.append(
            "--until-sure: asks one question, and each of student.models is one of its own; give each a study of its "
            "own (name=…)"
        )
    if processes() > 1:
        found.append("--until-sure: works in one process; start it without torchrun")
    if config.selection == "best_on_test":
        found.append("--until-sure: looks at validation, and selection: best_on_test chooses on the test split")
    if len({cell.setting for cell in make_plan(config).cells}) < 2:
        found.append("--until-sure: compares settings, and the grid has one; add temperatures or smoothing factors")
    return found


def at_most(config: StudyConfig, wanted: UntilSure) -> StudyConfig:
    """The study with all settings for all seeds: what it costs at most.

    Args:
        config: without `mistakes_of`.
        wanted: how many seeds.
    """
    seeds, trying = config.student.seeds, min(config.student.learning_rate_seeds, len(config.student.seeds))
    config = with_seeds(config, next_seeds(seeds, wanted.seeds_at_most - len(seeds)))
    return config.model_copy(update={"student": config.student.model_copy(update={"learning_rate_seeds": trying})})


def at_most_in_words(wanted: UntilSure) -> str:
    """What an estimate of `at_most` means, as a note."""
    limit = f", and begins no seed after --budget ({clock(wanted.budget)})" if wanted.budget is not None else ""
    return (
        f"at most: all settings with {wanted.seeds_at_most} seeds. It stops as soon as it is sure, and settings that "
        f"fall behind get no more seeds{limit}"
    )


def check_until_sure(config: StudyConfig, data: StudyData, wanted: UntilSure, root: Path) -> None:
    """Refuse what cannot be run until sure, before anything is written.

    Raises:
        ConfigError: `mistakes_of`, or there is no validation split.
        StudyError: the folder holds looks over another grid, other seeds, or for another number of them.
    """
    found = mistakes_of(config, wanted)
    if not len(data.validation):
        found.append("--until-sure: looks at a validation split, and there is none; set data.validation above 0")
    if found:
        raise ConfigError(found)
    begun_before(StudyDirectory(root / config.name), config, wanted)


def begun_before(directory: StudyDirectory, config: StudyConfig, wanted: UntilSure) -> dict[str, Any]:
    """The looks of this very study as far as it has come; a new record where it has not begun.

    Raises:
        StudyError: they are of another grid, other seeds, or another number of them; or the file is damaged.
    """
    seeds = list(config.student.seeds)
    fresh = {
        "seeds_at_most": wanted.seeds_at_most,
        "first_seeds": seeds,
        "looks_at": looks_at(len(seeds), wanted.seeds_at_most),
        "settings": named(list(dict.fromkeys(cell.setting for cell in make_plan(config).cells))),
        "budget": wanted.budget,
        "seconds": 0.0,
        "looks": [],
    }
    there = read_looks(directory)
    if there is None:
        return fresh
    if there.get("seeds_at_most") != wanted.seeds_at_most:
        raise StudyError(
            f"{directory.path} was begun with --seeds-at-most {there.get('seeds_at_most')}, and its looks "
            "share the 5 % by that; go on with it, or give this one its own name (name=…)"
        )
    if any(there.get(key) != fresh[key] for key in ("first_seeds", "settings", "looks_at")):
        raise StudyError(
            f"{directory.path / UNTIL_SURE_FILE} holds looks at another grid, or at other first seeds; go on with "
            "these, give this study its own name (name=…), or delete the file to look anew"
        )
    before = there.get("budget")
    longer = before is not None and (wanted.budget is None or wanted.budget > before)
    if longer and (there.get("stopped") or {}).get("reason") == "budget":
        del there["stopped"]
    return there | {"budget": wanted.budget}


def train_until_sure(context: Context, wanted: UntilSure) -> None:
    """Train the first seeds whole, then look, add seeds of what is left, and look again, until it is enough.

    Args:
        context: of the study.
        wanted: how far to go.

    Raises:
        TosmoothError: anything wrong with the folder or the training, in one sentence.
    """
    _Adding(context, wanted).run()


class _Adding:
    """A study to which seeds are being added; `record` is what `until-sure.json` holds."""

    def __init__(self, context: Context, wanted: UntilSure) -> None:
        self.context, self.wanted = context, wanted
        self.record = begun_before(context.directory, context.config, wanted)
        self._started = time.perf_counter()
        self._before = float(self.record["seconds"])

    def run(self) -> None:
        try:
            self._save()
            train_grid(self.context, seeds=len(self.record["first_seeds"]))
            teaching = StudyTeaching(self.context)
            while "stopped" not in self.record:
                looks = self.record["looks"]
                if looks and not looks[-1]["next_seeds"]:  # a budget has ended it, and there is more now
                    self._write(looks[:-1], looks[-1] | {"next_seeds": self._seeds_after(looks[-1]["look"])})
                if looks and self._unfinished():
                    self._train(teaching)
                else:
                    self._look()
        finally:
            with suppress(OSError):  # what brought us here tells more than a full disk
                self._save()

    @property
    def _over(self) -> bool:
        return self.wanted.budget is not None and self._seconds >= self.wanted.budget

    @property
    def _seconds(self) -> float:
        return self._before + time.perf_counter() - self._started

    @property
    def _seeds(self) -> list[int]:
        return [*self.record["first_seeds"], *later_seeds(self.record)]

    def _unfinished(self) -> list[Cell]:
        """The students of the seeds that were planned last, as far as they have not ended."""
        seeds = self.record["looks"][-1]["next_seeds"]
        plan = self.context.at_own_rates().plan
        return self.context.unfinished(cell for cell in plan.kept if cell.seed in seeds)

    def _work_to_come(self) -> float:
        """What the students that were planned last cost, and teachers that come with them; as the progress counts."""
        context, students = self.context.at_own_rates(), self._unfinished()
        names = {cell.teacher for cell in students}
        teachers = context.unfinished(one for one in context.plan.teachers if one.name in names)
        of_students = context.config.student.epochs * sum(map(context.parameters_of, students))
        of_teachers = context.config.teacher.epochs * sum(map(context.parameters_of, teachers))
        return float(len(context.taught) * of_students + len(context.data.train) * of_teachers)

    def _seeds_after(self, number: int) -> list[int]:
        """The seeds that are to be trained before the look after this one."""
        return next_seeds(self._seeds, self.record["looks_at"][number] - len(self._seeds))

    def _look(self) -> None:
        """Look at validation, write down what was seen, and say it."""
        looks, planned = self.record["looks"], self.record["looks_at"]
        context, number = self.context.at_own_rates(), len(looks) + 1
        require_finished(context)
        results, controls = standing_table(context), control_table(context)
        found = look(
            results[results.status == "done"],
            controls[controls.status == "done"],
            context.task.metric,
            looks=len(planned),
            number=number,
            margin=context.config.analysis.margin,
            last="seeds" if number == len(planned) else "budget" if self._over else None,
            out=out_of(self.record),
            smoothing=context.config.teacher.smoothing,
            correct=correct_of(context, "val"),
            unlike=unlike_of(results, context.config.student.model.name),
        )
        entry = {
            "look": number,
            "seeds": len(self._seeds),
            "confidence": confidence_of(len(planned), number),
            "left": named(found.left),
            "next_seeds": [] if found.reason is not None else self._seeds_after(number),
        }
        self._write(looks, entry, found)
        self._tell(found, entry)

    def _write(self, before: list[dict[str, Any]], entry: dict[str, Any], found: Look | None = None) -> None:
        """Write a look down, and with it the seeds to come or the end; whole, or not at all."""
        directory, ended = self.context.directory, found is not None and found.reason is not None
        take_back_advice(directory, [f"seed = {seed}" for seed in entry["next_seeds"]] or ["looks until sure"])
        stopped = {"stopped": {"reason": found.reason, "confidence": found.confidence}} if found and ended else {}
        self.record = self.record | {"looks": [*before, entry]} | stopped
        self._save()
        if not ended:
            context = self.context
            context.progress.skip(-self._work_to_come())

    def _train(self, teaching: StudyTeaching) -> None:
        """Train the students of the seeds that were planned; those that the budget leaves no time for are not."""
        context, entry = self.context.at_own_rates(), self.record["looks"][-1]
        for place, seed in enumerate(entry["next_seeds"]):
            group = [cell for cell in context.plan.kept if cell.seed == seed]
            if place and self._over and context.unfinished(group):
                entry["next_seeds"] = entry["next_seeds"][:place]
                break
            train_teachers(context, [one for one in context.plan.teachers if one.name in {c.teacher for c in group}])
            train_students(context, group, teaching)
            self._save()
        self._save()

    def _save(self) -> None:
        self.record["seconds"] = round(self._seconds, 1)
        write_looks(self.context.directory, self.record)

    def _tell(self, found: Look, entry: Mapping[str, Any]) -> None:
        context, every, left = self.context, self.record["settings"], entry["left"]
        varied = varied_keys(standing_table(context))
        names = ", ".join(describe(row, varied, context.config.teacher.smoothing) for row in left)
        then = f"then {count_of(len(entry['next_seeds']), 'more seed')}"
        if found.reason is not None:
            then = f"no more seeds, because {why_it_ended(found.reason, context.task.metric)}"
        context.progress.note(
            f"look {entry['look']} of {len(self.record['looks_at'])}, {entry['seeds']} seeds: {len(left)} of "
            f"{len(every)} settings may be the best{f' ({names})' if len(left) < len(every) else ''}; {then}"
        )
