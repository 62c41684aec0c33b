"""What is settled before a study begins: what its teachers are, what is known of their smoothing, which T they meet.

A recipe says all of it. A teacher of one's own is looked at first: it is taken as it is, or fine-tuned, and T follows
from the advice of its audit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from tosmooth.analysis.smoothing_rules import Verdict
from tosmooth.audit.images import largest, wanted_size, with_data
from tosmooth.audit.seeing import SIZES, as_right
from tosmooth.config.schema import StudyConfig
from tosmooth.config.training import MixingConfig
from tosmooth.data.base import ImageData
from tosmooth.distill.call import Call
from tosmooth.distill.classes import TeacherClasses
from tosmooth.distill.given import Given, find_outputs, take_as_it_is
from tosmooth.distill.length import FEWEST_STEPS, how_it_starts, with_steps_enough
from tosmooth.errors import ConfigError, StudyError
from tosmooth.folder.claim import check_usable, compared_with
from tosmooth.folder.paths import StudyDirectory
from tosmooth.models.study_model import StudyModel
from tosmooth.study.bench import Bench
from tosmooth.study.progress import StudyProgress

CANDIDATES = (1.0, 2.0, 4.0)  # where validation chooses: the paper's unsmoothed teachers were at their best from 1 to 3
OF_SMOOTHED = (1.0, 2.0)  # the paper's rule, and what was as good or better in fine-tuning (docs/decisions.md)
UNCHOSEN = 2.0  # where it cannot: better than 1, or within 0.4 points of it, in all of the paper's unsmoothed rows
LEAST_ALPHA = 0.01  # of a teacher that was found to be smoothed, as its two digits have it


@dataclass(frozen=True)
class Temperatures:
    """The temperatures for one teacher, and why."""

    values: tuple[float, ...]
    why: str


@dataclass(frozen=True)
class Settled:
    """A study, and what is known of its teachers before it begins.

    Attributes:
        config: of the study.
        verdicts: by α of its teachers, whether they were smoothed.
        temperatures: by α, which of the study's temperatures such a teacher meets, and why.
        given: the one teacher, where it is the user's, was audited and is taken as it is.
        decided: what was decided of the teachers and of the training's length, and why: a name and a sentence each.
    """

    config: StudyConfig
    verdicts: Mapping[float, Verdict]
    temperatures: Mapping[float, Temperatures]
    given: Given | None = None
    decided: tuple[tuple[str, str], ...] = ()


def settle_by_recipe(call: Call, config: StudyConfig) -> Settled:
    """The study of a recipe's own models: the recipe and the call have said everything."""
    teacher, values = config.teacher, config.student.temperatures
    told = call.temperatures is not None or values != [1.0]
    met = as_told(values) if told else Temperatures((1.0,), "T = 1, as nothing else was asked for")
    verdicts: dict[float, Verdict] = {
        alpha: "undecided" if teacher.smoothing == "unknown" and teacher.is_given(alpha) else trained_verdict(alpha)
        for alpha in teacher.label_smoothing
    }
    alphas = ", ".join(f"{alpha:g}" for alpha in teacher.label_smoothing)
    taken = all(teacher.is_given(alpha) for alpha in teacher.label_smoothing)
    how = f"taken from {call.teacher or 'its file'}" if taken else "trained first"
    smoothing = "not known" if taken and teacher.smoothing == "unknown" else f"α = {alphas}, as the recipe or you say"
    decided = (("teacher", f"{teacher.model.name}, {how}; label smoothing: {smoothing}"),)
    return Settled(config, verdicts, dict.fromkeys(verdicts, met), decided=decided)


def settle_by_audit(call: Call, start: StudyConfig, root: Path, progress: StudyProgress) -> Settled:
    """Look at a teacher of one's own and take it as it is, or have it fine-tuned; T as its smoothing wants it.

    Args:
        call: the arguments.
        start: of `starting_config`.
        root: folder that holds the studies.
        progress: where it is shown.

    Raises:
        TosmoothError: the data, the teacher or the folder cannot be used, or the teacher does not know the data.
    """
    bench, data = open_bench(start)
    outputs, theirs = find_outputs(call, start, data)
    students: StudyModel | None = None
    if call.sets_image_size:
        students = bench.new_model(start.student.model, 0)  # its weights may have to be fetched: before all work
    # What is wrong at every size comes before the teacher is looked at; what is too small for a crop, after it.
    bench.task.check(start if students is None else with_data(start, image_size=min(SIZES)), data)
    directory = StudyDirectory(root / start.name)
    check_usable(directory, 0)
    given = None
    if outputs is not None:
        given = take_as_it_is(call, bench, directory, outputs, theirs, progress)
    if students is not None:
        teachers = given.side if given is not None else wanted_size(bench.new_model(start.teacher.model, 0))
        start = with_data(start, image_size=largest(teachers, wanted_size(students)))
        bench.task.check(start, data)
    if given is not None and outputs is not None:
        decided = [("teacher", f"{given.relation}; {as_right(given.audit['right'], data.num_classes, trained=None)}")]
        smoothing = smoothing_of(call, given)
        decided.append(("smoothing", smoothing.in_full))
        verdicts = {smoothing.alpha: smoothing.verdict}
        start = with_given(start, given, smoothing)
    else:
        decided = [("teacher", _fine_tuned(call, start, data, theirs))]
        verdicts = {alpha: trained_verdict(alpha) for alpha in start.teacher.label_smoothing}
    start = long_enough(call, start, len(data.taught), decided)
    validated = len(data.validation) > 0
    met = {a: temperatures_for(v, call.temperatures, validated=validated) for a, v in verdicts.items()}
    values = sorted({value for one in met.values() for value in one.values})
    config = start.model_copy(update={"student": start.student.model_copy(update={"temperatures": values})})
    refuse_another_teacher(call, config, directory)
    return Settled(config, verdicts, met, given, tuple(decided))


def open_bench(start: StudyConfig) -> tuple[Bench, ImageData]:
    """The data and devices of a study whose teacher is looked at first, which one process does.

    Raises:
        ConfigError: there are several.
        TosmoothError: the data cannot be used.
    """
    bench = Bench.of(start)
    if bench.compute.processes.world > 1:
        raise ConfigError(["several processes: this command works in one; tosmooth study works in several"])
    return bench, cast(ImageData, bench.data)


def long_enough(call: Call, start: StudyConfig, images: int, decided: list[tuple[str, str]]) -> StudyConfig:
    """The study with steps enough, where nobody has said how long it trains; what was decided is added to the list."""
    if not call.sets_length:
        return start
    before, start = start.student.epochs, with_steps_enough(start, images)
    if start.student.epochs > before:
        enough = FEWEST_STEPS[how_it_starts(start)]
        why = f"{start.student.epochs} epochs, not {before}, so that the student takes {enough:,} steps"
        decided.append(("length", f"{why} (student.epochs=… says another)"))
    return start


@dataclass(frozen=True)
class Smoothing:
    """What is known of a given teacher's label smoothing: from who trained it, or from its audit.

    Attributes:
        alpha: as the study's files name the teacher; 0 where it was not found to be smoothed.
        verdict: whether it was smoothed.
        knowledge: as `teacher.smoothing` has it.
        words: the same for the study's description.
        in_full: the same in a sentence.
    """

    alpha: float
    verdict: Verdict
    knowledge: str
    words: str
    in_full: str


def smoothing_of(call: Call, given: Given) -> Smoothing:
    """By what the call says, else by the audit."""
    if call.alphas:
        told = f"α = {call.alphas[0]:g}, as told; its audit says: {given.audit['headline']}"
        return Smoothing(call.alphas[0], trained_verdict(call.alphas[0]), "known", "as told", told)
    found = given.audit["alpha"]
    alpha = max(LEAST_ALPHA, round(found, 2)) if given.verdict == "smoothed" and math.isfinite(found) else 0.0
    knowledge = "unknown" if given.verdict == "undecided" else "estimated"
    return Smoothing(alpha, given.verdict, knowledge, given.verdict, str(given.audit["headline"]))


def with_given(config: StudyConfig, given: Given, smoothing: Smoothing) -> StudyConfig:
    """The study with the teacher as it was found."""
    unweighted = {"pretrained": False, "checkpoint": None, "replace_head": False, "ema": False}
    model = config.teacher.model.model_copy(update=unweighted)
    found = {
        "model": model,
        "train": False,
        "label_smoothing": [smoothing.alpha],
        "smoothing": smoothing.knowledge,
        "checkpoints": {smoothing.alpha: given.file},
        "mixing": MixingConfig(),  # of a training that it does not get
    }
    description = f"{given.relation}; its label smoothing: {smoothing.words}"
    teacher = config.teacher.model_copy(update=found)
    return config.model_copy(update={"teacher": teacher, "description": description})


def _fine_tuned(call: Call, config: StudyConfig, data: ImageData, theirs: TeacherClasses) -> str:
    """Why a teacher is not taken as it is."""
    name = call.teacher_name(config.teacher.model)
    why = "as asked for" if call.fine_tune else f"as its {theirs.count} classes are not the data's {data.num_classes}"
    alphas = ", ".join(f"{alpha:g}" for alpha in config.teacher.label_smoothing)
    return f"{name} is fine-tuned on the data first, {why}; α = {alphas}"


def refuse_another_teacher(call: Call, config: StudyConfig, directory: StudyDirectory) -> None:
    """In words of the call: a study's folder would name keys that nobody has set."""
    there = directory.config.exists()
    if there and any(key.startswith("teacher.") for key in compared_with(directory, config).refused):
        raise StudyError(
            f"{directory.path} holds students of another teacher, or of one that was trained or taken otherwise than "
            f"{call.teacher_name(config.teacher.model)} now is; give this one its own name (name=…) or --output"
        )


def trained_verdict(alpha: float) -> Verdict:
    """What we know of a teacher that we trained ourselves, audit or not; or that the user knows."""
    return "smoothed" if alpha > 0 else "not smoothed"


def as_told(values: Sequence[float]) -> Temperatures:
    """The temperatures that somebody has asked for."""
    one = "T as asked for" if len(values) == 1 else "the temperatures asked for; validation chooses"
    return Temperatures(tuple(values), one)


def temperatures_for(verdict: Verdict, told: Sequence[float] | None, *, validated: bool) -> Temperatures:
    """The temperatures to distil a teacher at.

    Args:
        verdict: of its audit, or of who trained it.
        told: what the user asked for; None: the advice decides.
        validated: whether there is a validation split to choose by.
    """
    if told is not None:
        return as_told(told)
    why = {
        "smoothed": "as the teacher is label-smoothed",
        "undecided": "as it is not known whether the teacher was smoothed",
        "not smoothed": "as the teacher is not label-smoothed",
    }[verdict]
    candidates = CANDIDATES if verdict == "not smoothed" else OF_SMOOTHED
    if validated:
        return Temperatures(candidates, f"T of {', '.join(f'{value:g}' for value in candidates)} by validation, {why}")
    alone = UNCHOSEN if verdict == "not smoothed" else 1.0
    return Temperatures((alone,), f"T = {alone:g}, {why} and there is no validation split to choose T by")


def warning(teacher: str, temperatures: Sequence[float]) -> str | None:
    """The warning about a smoothed teacher that meets a T above `OF_SMOOTHED`; None where there is none."""
    raised = [value for value in temperatures if value > max(OF_SMOOTHED)]
    if not raised:
        return None
    return (
        f"{teacher} is label-smoothed and meets T = {', '.join(f'{value:g}' for value in raised)}: in the paper, "
        "students of smoothed teachers drifted towards similar classes and lost accuracy when T rose. Compare with "
        "T = 1"
    )
