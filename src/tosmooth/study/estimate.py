"""What a study would take: its steps counted, its memory and disk reckoned, its speed measured in a mini-run.

The mini-run reads real batches through the study's own pipeline and takes real steps with the study's own models, on
its device and in its precision, for at most a given time. It writes nothing, and leaves nobody's randomness changed.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tosmooth.config.schema import StudyConfig
from tosmooth.errors import ConfigError, StudyError
from tosmooth.folder.claim import change_to, check_usable
from tosmooth.losses.objectives import find_objective
from tosmooth.models.last_layer import find_last_layer
from tosmooth.study.context import Context
from tosmooth.study.decoded_images import may_decode_once
from tosmooth.study.kinds import Kind
from tosmooth.study.plan import Cell, Teacher
from tosmooth.study.precision import precision_facts
from tosmooth.study.precision_trial import as_settled
from tosmooth.study.progress import StudyProgress
from tosmooth.study.run import check_analysis
from tosmooth.study.stored_views import views_to_store
from tosmooth.study.teacher_answers import LIVE_FOR_MIXED, most_held
from tosmooth.study.timing import Speed, Timing
from tosmooth.study.workload import Stage, student_groups, workload
from tosmooth.training.checkpoint import KEPT
from tosmooth.training.optimization import copies_of_weights
from tosmooth.words.precision import precision_in_words

FLOAT, DOUBLE, HALF = 4, 8, 2  # bytes
REPORT_BYTES = 5_000_000  # report, figures and tables; measured on small studies
CLASS_BYTES = 150  # of a student's η for one class, in all its forms; the same
MOST_MINI_RUN = 60.0  # seconds


@dataclass(frozen=True)
class StageTime:
    """A stage, and how long it would take.

    Attributes:
        stage: what is to do.
        computing: seconds of models at work.
        loading: seconds of reading and augmenting.
        low, high: seconds in all: where loading and computing overlap wholly, and where they do not at all.
    """

    stage: Stage
    computing: float
    loading: float
    low: float
    high: float

    @property
    def bottleneck(self) -> str:
        """What takes longer."""
        return "loading" if self.loading > self.computing else "computing"


@dataclass(frozen=True)
class ModelSize:
    """A model of the study."""

    role: str
    name: str
    parameters: int


@dataclass(frozen=True)
class Memory:
    """Bytes on the device at the worst moment, of tensors alone; activations are measured on few samples and scaled."""

    teachers_in_training: int
    students_in_training: int
    free: int
    group: int  # students that train together

    @property
    def peak(self) -> int:
        """The larger of both stages."""
        return max(self.teachers_in_training, self.students_in_training)


@dataclass(frozen=True)
class Disk:
    """Bytes on disk.

    Attributes:
        results: weights, centroids, report: what stays.
        checkpoints: of models in training, and weights of epochs that are to be averaged; deleted when they are done.
        cache: stored answers of teachers.
        views: stored views, as pixels.
        free: where the study would be written.
    """

    results: int
    checkpoints: int
    cache: int
    views: int
    free: int


@dataclass(frozen=True)
class Estimate:
    """What a study would take.

    Attributes:
        name: of the study.
        path: where it would be written.
        device, precision: of the mini-run, and of the study on this machine.
        teacher_precision: the same of frozen teachers, where it is to be measured; else None.
        samples: what is counted, "images" or "tokens".
        splits: how many there are in training, validation and test.
        classes: K.
        models: sizes.
        students: how many are still to train, and all of the grid.
        times: stage by stage.
        speeds: what the mini-run measured.
        memory: on the device.
        disk: where the study would be written.
        problems: what would stop the study.
        notes: what the estimate does not know.
    """

    name: str
    path: str
    device: str
    precision: str
    teacher_precision: str | None
    samples: str
    splits: dict[str, int]
    classes: int
    models: list[ModelSize]
    students: tuple[int, int]
    times: list[StageTime]
    speeds: list[Speed]
    memory: Memory
    disk: Disk
    problems: list[str]
    notes: list[str]

    @property
    def seconds(self) -> tuple[float, float]:
        """The whole study, at least and at most."""
        return sum(time.low for time in self.times), sum(time.high for time in self.times)

    def record(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        found = dataclasses.asdict(self)
        for row, time in zip(found["times"], self.times, strict=True):
            row |= row.pop("stage") | {"loaded": time.stage.loaded, "bottleneck": time.bottleneck}
            row["work"] = [{**kind._asdict(), "samples": count} for kind, count in time.stage.work.items()]
        found["memory"]["peak"] = self.memory.peak
        return found | {"seconds": {"low": self.seconds[0], "high": self.seconds[1]}}


def estimate_study(
    config: StudyConfig,
    root: str | Path = "runs",
    progress: StudyProgress | None = None,
    seconds: float = MOST_MINI_RUN,
) -> Estimate:
    """What a study would take on this machine with these data; nothing is written.

    Args:
        config: a checked configuration.
        root: folder that would hold the study.
        progress: where progress is shown.
        seconds: of the mini-run, at most about so many; reading the list of the data comes on top.

    Raises:
        TosmoothError: anything that would stop the study before its first step: data, models, configuration.
    """
    with progress or StudyProgress() as shown:
        context = Context.join(config, Path(root), shown, check_analysis)
        if context.compute.processes.world > 1:
            raise ConfigError(["--dry-run: measures one process; start it without torchrun"])
        context = as_settled(context)
        facts = precision_facts(context)
        measured = isinstance(facts["teacher_precision"], Mapping)
        shown.stage("mini-run: real batches, a few real steps")
        times, speeds, of_timing = stage_times(context, seconds)
        memory, disk = _memory(context, speeds), _disk(context)
        return Estimate(
            name=config.name,
            path=str(context.directory.path),
            device=context.compute.device.type,
            precision=precision_in_words(facts["precision"]) or "",
            teacher_precision=precision_in_words(facts["teacher_precision"]) if measured else None,
            samples=context.task.samples,
            splits={n: len(getattr(context.data, n)) for n in ("train", "validation", "test")},
            classes=context.data.num_outputs,
            models=_sizes(context),
            students=(len(context.unfinished(context.plan.students)), len(context.plan.students)),
            times=times,
            speeds=list(speeds.values()),
            memory=memory,
            disk=disk,
            problems=_problems(context, memory, disk),
            notes=[*of_timing, *_notes(context)],
        )


def stage_times(context: Context, seconds: float) -> tuple[list[StageTime], dict[Kind, Speed], list[str]]:
    """How long the stages of a study would take that are still to do, by a mini-run that leaves no trace.

    Args:
        context: of the study, in one process.
        seconds: of the mini-run, about.

    Returns:
        The stages, what was measured, and what is to know of it.
    """
    devices = [context.compute.device] if context.compute.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        timing, stages = Timing(as_settled(context), seconds), workload(context)
        speeds = timing.measure({kind for stage in stages for kind in stage.work})
    return [_time(context, stage, speeds) for stage in stages], speeds, timing.notes


def _time(context: Context, stage: Stage, speeds: Mapping[Kind, Speed]) -> StageTime:
    each = {kind: count / speeds[kind].per_second for kind, count in stage.work.items()}
    loading = sum(seconds for kind, seconds in each.items() if not kind.model)
    computing = sum(each.values()) - loading
    # One after the other where the main process reads and the CPU computes; else somewhere in between.
    overlap = context.compute.device.type != "cpu" or context.config.data.workers > 0
    high = computing + loading
    return StageTime(stage, computing, loading, max(computing, loading) if overlap else high, high)


def _sizes(context: Context) -> list[ModelSize]:
    owners: dict[tuple[str, str], Teacher | Cell] = {}
    for teacher in context.plan.teachers:
        owners.setdefault(("teacher", context.config.teacher.model.name), teacher)
    for cell in context.plan.students:
        owners.setdefault(("student", cell.student), cell)
    return [ModelSize(*key, context.parameters_of(owner)) for key, owner in owners.items()]


def _state(context: Context, owners: Iterable[Teacher | Cell]) -> int:
    """Weights of models in training and what their optimisers remember."""
    total = 0
    for owner in owners:
        section = context.config.teacher if isinstance(owner, Teacher) else context.config.student
        total += FLOAT * copies_of_weights(section) * context.parameters_of(owner)
    return total


def _groups(context: Context) -> tuple[list[list[Teacher]], list[list[Cell]]]:
    """Models that train together, of those that are not finished."""
    todo = context.unfinished([teacher for teacher in context.plan.teachers if not teacher.given])
    teachers = [[t for t in todo if t.seed == seed] for seed in dict.fromkeys(t.seed for t in todo)]
    return [g for g in teachers if g], student_groups(context, context.unfinished(context.plan.students))


def _memory(context: Context, speeds: Mapping[Kind, Speed]) -> Memory:
    """State of all models of a group, and gradients and activations of the one whose turn it is."""
    teachers, students = _groups(context)

    def at_work(owner: Teacher | Cell) -> int:
        kind = Kind("train", "teacher" if isinstance(owner, Teacher) else "student", context.model_section(owner).name)
        return FLOAT * context.parameters_of(owner) + speeds[kind].activation_bytes

    def alone(group: list[Any]) -> int:
        return _state(context, group) + max(map(at_work, group))

    asked = FLOAT * context.parameters_of(context.plan.teachers[0])
    live = most_held(context) if context.stored_views is not None else len(context.plan.teachers) * asked
    return Memory(
        max(map(alone, teachers), default=0),
        max((live + alone(group) for group in students), default=0),
        context.compute.free_memory(),
        max(map(len, students), default=0),
    )


def _disk(context: Context) -> Disk:
    data, sets = context.data, 1 if context.selection == "last" else 2  # of weights: kept, and last
    centroids = DOUBLE * data.num_classes * (1 + (len(data.validation) > 0))
    results, features = REPORT_BYTES, dict[str, int]()
    owners: list[Teacher | Cell] = [*context.plan.teachers, *context.plan.students]
    for owner in owners:
        section = context.model_section(owner)
        if section.name not in features:
            model = context.new_model(section.without_weights(), 0)
            features[section.name] = find_last_layer(model, model.num_classes, section.last_layer)[1].weight.shape[1]
        results += sets * FLOAT * context.parameters_of(owner) + centroids * features[section.name]
    results += CLASS_BYTES * data.num_classes * len(context.plan.students)
    teachers, students = _groups(context)
    checkpoints, groups = 0, list[Sequence[Teacher | Cell]]([*teachers, *students])
    for group in groups:
        training = context.config.teacher if isinstance(group[0], Teacher) else context.config.student
        averaged = training.average_last if training.average_last > 1 else 0
        weights = FLOAT * sum(map(context.parameters_of, group))
        # While one is written, those that are kept are still there.
        checkpoints = max(checkpoints, (KEPT + 1) * _state(context, group) + averaged * weights)
    views = context.stored_views or 0
    width = min(data.num_outputs, features[context.config.teacher.model.name])
    cache = HALF * views * len(context.taught) * width * len(context.plan.teachers)
    parent = next(
        path for path in (context.directory.path, *context.directory.path.absolute().parents) if path.exists()
    )
    return Disk(results, checkpoints, cache, views_to_store(context), shutil.disk_usage(parent).free)


def _problems(context: Context, memory: Memory, disk: Disk) -> list[str]:
    found = []
    try:
        check_usable(context.directory, disk.results + disk.checkpoints + disk.cache + disk.views)
        if context.directory.config.exists():
            change_to(context.directory, context.config)
    except StudyError as error:
        found.append(str(error))
    if memory.peak > memory.free:
        found.append(
            f"memory: about {memory.peak / 1e9:,.1f} GB are needed and {memory.free / 1e9:,.1f} GB free; a smaller "
            "batch_size, or compute.group_size, needs less"
        )
    return found


def _notes(context: Context) -> list[str]:
    notes = ["analysis and report come on top, as do checkpoints: minutes, unless classes or students are very many"]
    published = {
        model.name for model in (context.config.teacher.model, *context.config.student.all_models) if model.pretrained
    }
    if published:
        notes.append("published weights are not fetched for this; speed does not depend on them")
    if context.task.measuring is not None:
        notes.append(f"{context.task.measuring} the test split is not in it: it depends on what models have learnt")
    if any(find_objective(name).relabels for name in context.config.student.objectives):
        notes.append("translations of the training split by the teachers (objective sequence) are not in it")
    if context.config.student.mixing.on:
        notes.append(LIVE_FOR_MIXED)
    if may_decode_once(context):
        notes.append(
            "image files count as decoded each time that they are looked at, and their pixels are not counted on the "
            "disk; data.in_memory may store them once"
        )
    if views_to_store(context):
        notes.append("views count as made each time that they are shown, and they are stored as pixels (cache.pixels)")
    if context.stored_views is not None:
        notes.append("what is stored counts as if none were there; another study of the same teachers may have left it")
    return [*notes, *getattr(context.data, "unread", ())]
