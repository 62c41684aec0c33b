"""The training stages of a study: teachers of all α together, seed by seed, then one group of students per seed.

A group goes on from its newest checkpoint. Models of a group that were saved at different points (the grid has grown, a
group was split for lack of memory) go on in groups of their own: how models are grouped changes no result.
"""

from __future__ import annotations

import gc
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch

from tosmooth.analysis.temperature import MOST_KEPT
from tosmooth.data.batches import dead_loader, is_of_dead_loader
from tosmooth.data.views import ViewSchedule
from tosmooth.errors import NonFiniteError, StudyError
from tosmooth.folder.columns import column
from tosmooth.folder.paths import WEIGHTS_FILE, epoch_file
from tosmooth.memory import blaming, culprit_of, is_out_of_memory
from tosmooth.models.weights import save_weights
from tosmooth.study.context import Context
from tosmooth.study.decoded_images import decode_once
from tosmooth.study.given_outputs import record_outputs
from tosmooth.study.measuring import Measuring
from tosmooth.study.plan import Cell, Teacher
from tosmooth.study.precision_trial import settle_precision
from tosmooth.study.teacher_answers import StudyTeaching, most_held, student_views
from tosmooth.study.trainees import new_trainee
from tosmooth.training.checkpoint import BEGINNING, Position
from tosmooth.training.evaluation import Evaluation
from tosmooth.training.loop import Checkpointing, train_group
from tosmooth.training.optimization import copies_of_weights
from tosmooth.training.stopping import Stopping
from tosmooth.training.teaching import Teaching
from tosmooth.training.trainee import Trainee, averaged_epochs

# What needed the memory when a single model found none, and what would need less.
IN_ITS_STEP = "in its own steps: a smaller batch_size or model, or compute.precision=bf16, needs less"
IN_EVALUATION = "where it is evaluated: a smaller compute.eval_batch_size needs less"


def train_grid(context: Context, seeds: int | None = None) -> None:
    """Train the whole grid in this process, or in those that were started with it.

    Args:
        context: of the study.
        seeds: how many of the first seeds get their students; None = all.
    """
    train_teachers(context)
    teaching = StudyTeaching(context)
    for group in context.plan.trials:
        train_students(context, group, teaching)
    context = context.at_own_rates()
    for group in context.plan.together[:seeds]:
        train_students(context, group, teaching)


def train_teachers(context: Context, teachers: Sequence[Teacher] | None = None) -> None:
    """Train (or take over) every teacher that has no result yet, and measure it.

    Args:
        teachers: of the plan; None = all.

    Raises:
        StudyError: a teacher failed; there is no grid without all of them.
    """
    wanted = context.plan.teachers if teachers is None else teachers
    todo = context.unfinished(wanted)
    for seed in dict.fromkeys(teacher.seed for teacher in wanted):  # teachers of one seed see the same batches
        own = [teacher for teacher in todo if teacher.seed == seed]
        if given := [teacher for teacher in own if teacher.given]:
            _take_over(context, given)
        if untrained := [teacher for teacher in own if not teacher.given]:
            _train_teachers(context, untrained)

    def check() -> None:
        records = [context.read_record(teacher) or {} for teacher in wanted]
        failures = [record["failure"] for record in records if record.get("status") == "failed"]
        if failures:
            raise StudyError("a study needs all its teachers:\n" + "\n".join(failures))

    context.compute.processes.on_main(check)


def _named(context: Context, teachers: Sequence[Teacher]) -> str:
    """`α = 0, 0.1`, with the seed where there are several."""
    seed, seeds = teachers[0].seed, list(dict.fromkeys(teacher.seed for teacher in context.plan.teachers))
    which = f", seed {seed} ({seeds.index(seed) + 1} of {len(seeds)})" if len(seeds) > 1 else ""
    if context.config.teacher.smoothing == "unknown":
        return f"label smoothing not known{which}"
    return f"α = {', '.join(f'{teacher.label_smoothing:g}' for teacher in teachers)}{which}"


def _take_over(context: Context, given: Sequence[Teacher]) -> None:
    context.progress.stage(f"measuring the given teachers, {_named(context, given)}")
    if context.config.teacher.outputs:
        record_outputs(context, given[0])
        return
    measuring = Measuring(context, students=False)
    for teacher in given:
        model = context.new_model(context.config.teacher.model, teacher.seed, teacher.checkpoint)
        for text in model.notes:
            context.progress.note_once(text)
        model, path = context.compute.place(model), context.folder(teacher) / WEIGHTS_FILE
        context.compute.processes.on_main(lambda: save_weights(model, path))  # noqa: B023
        measuring.record(teacher, model, {"status": "given", "selection": "given"})


def _train_teachers(context: Context, todo: Sequence[Teacher]) -> None:
    def title(teachers: Sequence[Teacher]) -> str:
        return f"teachers, {_named(context, teachers)}"

    _train(context, todo, _Work(title, range(context.config.teacher.epochs)))


def train_students(
    context: Context, cells: Sequence[Cell], teaching: StudyTeaching, epochs: range | None = None
) -> None:
    """Train the students of one seed, and measure them; in several groups if memory does not hold all at once.

    Finished cells are left alone.

    Args:
        context: of the study.
        cells: of one seed.
        teaching: of the study.
        epochs: the part of the schedule to train, from the epoch that all of them have reached; None = all of it.
            Students that stop before their last epoch are left with a checkpoint and their records of epochs, and are
            not measured. They go on from there in whatever company, to the weights of an unbroken training.
    """
    todo = context.unfinished(cells)
    processes = context.compute.processes
    size = min(processes.gather(group_size(context)))
    for own in of_same_batches(context, todo):
        while own:
            fitting = min(size, *context.group_limit, len(own))
            _train_students(context, own[:fitting], teaching, epochs or range(context.config.student.epochs))
            own = own[fitting:]


def of_same_batches(context: Context, cells: Sequence[Cell]) -> list[list[Cell]]:
    """Cells that see the same batches: all, but those that learn a teacher's translations, teacher by teacher.

    And, where there are images without labels, those without a teacher.
    """
    groups: dict[tuple[str | None, int], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.teacher if cell.relabels else None, id(context.split_of(cell))), []).append(cell)
    return list(groups.values())


def group_size(context: Context) -> int:
    """How many students train together: as configured, or as memory holds."""
    return context.config.compute.group_size or students_that_fit(context)


def students_that_fit(context: Context) -> int:
    """How many students of the study the device can hold at once, at least 1.

    A student that waits for its turn holds its weights and what its optimiser remembers; gradients and activations
    exist for one student at a time, and have the other half of the memory that stored answers leave free.
    """
    config = context.config.student
    each = 4 * copies_of_weights(config) * max(context.count_parameters(model) for model in config.all_models)
    if context.compute.device.type == "cpu":  # logits on validation, of the best epoch and of the one that is judged
        each += 2 * 4 * min(MOST_KEPT, len(context.data.validation) * context.data.num_outputs)
    return max(1, (context.compute.free_memory() - most_held(context)) // 2 // max(1, each))


def _train_students(context: Context, todo: Sequence[Cell], teaching: StudyTeaching, epochs: range) -> None:
    seed, seeds = todo[0].seed, list(dict.fromkeys(cell.seed for cell in context.plan.students))

    def title(cells: Sequence[Cell]) -> str:
        trying = not set(cells) <= set(context.plan.kept)
        rates = ", at every learning rate" if trying else ""
        untaught = " without a teacher" if all(cell.is_control for cell in cells) else ""
        return f"{len(cells)} students{untaught}, seed {seed} ({seeds.index(seed) + 1} of {len(seeds)}){rates}"

    def teaching_of(cells: Sequence[Cell]) -> Teaching:
        needed = {cell.teacher for cell in cells}
        return teaching.of([teacher for teacher in context.plan.teachers if teacher.name in needed])

    if todo[0].relabels:
        from tosmooth.study.sequence_level import translated_training  # studies of images need none of it

        teacher = next(teacher for teacher in context.plan.teachers if teacher.name == todo[0].teacher)
        _train(context, todo, _Work(title, epochs, split=translated_training(context, teacher)))
        return

    split = context.split_of(todo[0])
    _train(context, todo, _Work(title, epochs, teaching_of, student_views(context, seed), split))


@dataclass(frozen=True)
class _Work:
    """What a group is trained with: title, the epochs to train; for students teachers, views and labels."""

    title: Callable[[Sequence[Any]], str]
    epochs: range
    teaching: Callable[[Sequence[Any]], Teaching] | None = None
    views: ViewSchedule | None = None
    split: Any = None  # None = the training split


def _train(context: Context, owners: Sequence[Teacher | Cell], work: _Work) -> None:
    """Train models to the end of `work.epochs`, each from its newest checkpoint; those at one point together."""
    decode_once(context)
    settle_precision(context)
    names = [owner.name for owner in owners]
    saved = context.compute.processes.on_main(lambda: context.checkpoints.newest(names))
    lost = context.compute.processes.on_main(lambda: _lost_weights(context, owners, saved))
    groups: dict[Position, list[Teacher | Cell]] = {}
    for owner in owners:
        groups.setdefault(BEGINNING if owner.name in lost else saved.get(owner.name, BEGINNING), []).append(owner)
    for start in sorted(groups, reverse=True):
        _train_in_memory(context, groups[start], work, start)


def _lost_weights(context: Context, owners: Sequence[Teacher | Cell], saved: Mapping[str, Position]) -> set[str]:
    """Models whose checkpoint counts on kept weights that somebody has deleted: they begin again."""
    lost = set()
    for owner in owners:
        section = context.config.teacher if isinstance(owner, Teacher) else context.config.student
        kept_from = section.epochs if context.selection == "last" else 1
        there = (context.folder(owner) / WEIGHTS_FILE).is_file()
        reached = saved.get(owner.name, BEGINNING).epoch
        awaited = [epoch_file(epoch) for epoch in averaged_epochs(section) if epoch <= reached < section.epochs]
        if not all((context.folder(owner) / name).is_file() for name in awaited):
            lost.add(owner.name)
        if reached >= kept_from and not there:
            lost.add(owner.name)
    return lost


def _train_in_memory(context: Context, owners: Sequence[Teacher | Cell], work: _Work, start: Position) -> None:
    """Train a group; where memory does not hold it, go on with its halves from the last checkpoint.

    Raises:
        StudyError: memory does not hold a single model, or several processes would have to agree on a split.
    """
    try:
        _run(context, owners, work, start)
        return
    except (RuntimeError, MemoryError) as error:
        if is_of_dead_loader(error):
            raise dead_loader(error) from None
        if not is_out_of_memory(error):
            raise
        if len(owners) == 1:
            raise StudyError(
                f"out of memory with {owners[0].name} alone, {culprit_of(error) or IN_ITS_STEP}. The same command goes "
                "on from the last checkpoint"
            ) from None
        if context.compute.processes.world > 1:
            raise StudyError(
                f"out of memory with {len(owners)} models at once; set compute.group_size={len(owners) // 2} and start "
                "again: the same command goes on from the last checkpoint"
            ) from None
    # Out of the handler: only now is nothing of the failed group referred to any more.
    gc.collect()
    if context.compute.device.type == "cuda":
        torch.cuda.empty_cache()
    elif context.compute.device.type == "mps":
        torch.mps.empty_cache()
    half = len(owners) // 2
    context.progress.note(
        f"out of memory with {len(owners)} models at once: going on with {len(owners) - half} at most"
    )
    if isinstance(owners[0], Cell):
        context.group_limit.append(len(owners) - half)
    for part in (owners[:-half], owners[-half:]):
        _train(context, part, work)


class _Checkpoints(Checkpointing):
    """Saves a group in the study's folder: at the end of every epoch, and by the clock in between."""

    def __init__(self, context: Context, owners: Sequence[Teacher | Cell]) -> None:
        self._context = context
        names = "\n".join(owner.name for owner in owners)
        self._group = f"{len(owners)}-models-{hashlib.sha256(names.encode()).hexdigest()[:12]}"
        self._last = time.monotonic()

    def due(self) -> bool:
        return time.monotonic() - self._last >= 60 * self._context.config.compute.checkpoint_minutes

    def save(self, position: Position, group: Sequence[Trainee]) -> None:
        processes, store = self._context.compute.processes, self._context.checkpoints
        streams = processes.gather([trainee.random.state() for trainee in group])  # of all processes
        states = ((t.name, t.state([own[number] for own in streams])) for number, t in enumerate(group))
        processes.on_main(lambda: store.write(self._group, position, states))
        self._last = time.monotonic()
        if position.batch == 0 and self._context.tracking is not None:  # an epoch that no resume takes back
            self._context.tracking.update()

    def stopping(self) -> Stopping:
        return self._context.stopping


def _run(context: Context, owners: Sequence[Teacher | Cell], work: _Work, start: Position) -> None:
    """Train a group from a point on, then measure each of its models with the kept weights."""
    teaching = work.teaching(owners) if work.teaching is not None else None
    trainees = [new_trainee(context, owner, split=work.split) for owner in owners]
    for text in (text for trainee in trainees for text in trainee.model.notes):
        context.progress.note_once(text)
    if start != BEGINNING:
        for trainee in trainees:
            trainee.restore(context.checkpoints.read(trainee.name, start))
    config = trainees[0].config
    batches = context.training_batches(config, owners[0].seed, work.views, work.split)
    cost = sum(p.numel() for trainee in trainees for p in trainee.model.parameters()) / len(trainees)
    stop = work.epochs.stop
    done = min(stop * len(batches), start.epoch * len(batches) + start.batch) - work.epochs.start * len(batches)
    per_batch = batches.size / max(1, len(batches))  # samples; of sentences, batch_size counts padding too
    context.progress.skip(max(0, done) * per_batch * cost * len(trainees))
    again = f", going on in epoch {start.epoch + 1}" if BEGINNING < start < (config.epochs, 0) else ""
    context.progress.stage(work.title(owners) + again, epochs=config.epochs, cost=cost, models=len(trainees))

    measuring, judged_by = Measuring(context, students=isinstance(owners[0], Cell)), context.task.metric.judged_by
    evaluations: dict[str, Evaluation] = {}  # on validation, with the weights that are kept so far

    def validate(alive: Sequence[Trainee]) -> list[dict[str, float]]:
        own, models = [owners[trainees.index(one)] for one in alive], [one.kept for one in alive]
        name, figures = context.selection_split_name, []
        with blaming(IN_EVALUATION):
            found = measuring.evaluate_together(own, models, context.selection_split)
        for trainee, evaluation in zip(alive, found, strict=True):
            columns = evaluation.columns(name)
            if trainee.select_by is None or trainee.improves(columns):
                evaluations[trainee.name] = evaluation
            context.progress.validated(columns[column(name, judged_by.name)], judged_by.unit)
            figures.append(columns)
        return figures

    with suppress(NonFiniteError):  # all failed: each carries its reason, which is recorded below
        train_group(
            trainees,
            batches,
            compute=context.compute,
            teaching=teaching,
            mixing=context.mixing(config, owners[0].seed),
            validate=validate if len(context.selection_split) else None,
            on_batch=context.progress.batch,
            start=start,
            stop=stop,
            checkpoints=_Checkpoints(context, owners),
        )
    context.progress.end_stage()
    ended: list[tuple[Teacher | Cell, Trainee]] = []
    for owner, trainee in zip(owners, trainees, strict=True):
        if trainee.failure is not None:
            context.compute.processes.on_main(trainee.forget_epochs)
            _record_failure(context, owner, trainee.failure)
        elif stop == config.epochs:
            trainee.restore_selected()
            ended.append((owner, trainee))
    # The mean of several epochs' weights has not been looked at yet.
    known = evaluations if context.selection_split_name == "val" and not averaged_epochs(config) else {}
    on_validation = [known.get(trainee.name) for _, trainee in ended]
    with blaming(IN_EVALUATION):
        passes = measuring.passes([owner for owner, _ in ended], [trainee.model for _, trainee in ended], on_validation)
    for (owner, trainee), found_on in zip(ended, passes, strict=True):
        record = {
            "status": "done",
            "selection": context.selection,
            "selected_epoch": trainee.selected_epoch,
            "train/loss": trainee.last_record["train/loss"],
            **trainee.convergence(),
        }
        # Before the record, after which nobody comes back to clear up; the mean and the last checkpoint are there.
        context.compute.processes.on_main(trainee.forget_epochs)
        try:
            measuring.record(owner, trainee.model, record, found_on)
        except NonFiniteError as error:
            _record_failure(context, owner, str(error))
    context.write_unreadable()
    context.compute.processes.on_main(lambda: context.checkpoints.forget(context.finished))


def _record_failure(context: Context, owner: Teacher | Cell, reason: str) -> None:
    context.progress.note(f"failed: {reason}")
    context.write_record(owner, {"status": "failed", "failure": reason}, ())  # nobody reads its files again
