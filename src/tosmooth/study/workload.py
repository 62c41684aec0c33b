"""What a study has to do, counted: steps, samples to load, passes of models over samples. Nothing is measured here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tosmooth.config.schema import TrainingConfig
from tosmooth.data.batches import Batches
from tosmooth.study.context import Context
from tosmooth.study.kinds import READ, READ_FOR_EVALUATION, Kind
from tosmooth.study.measuring import in_passes
from tosmooth.study.plan import Cell, Teacher
from tosmooth.study.stages import group_size, of_same_batches
from tosmooth.study.teacher_smoothing_views import FEWEST_IMAGES, IMAGES_PER_CLASS
from tosmooth.training.trainee import averaged_epochs


@dataclass(frozen=True)
class Stage:
    """A part of a study.

    Attributes:
        name: "teachers", "stored answers", "students" or "evaluation".
        models: how many.
        epochs: of each of them; of stored answers, the views.
        steps_per_epoch: batches an epoch.
        steps: updates of all models together; of stored answers and evaluation, 0.
        passes: of evaluation: how often a model goes over a split.
        work: how many samples are read, and go through which model in which way; a batch that serves a whole group is
            read once.
    """

    name: str
    models: int
    epochs: int
    steps_per_epoch: int
    steps: int
    passes: int
    work: dict[Kind, int]

    @property
    def loaded(self) -> int:
        """Samples that are read and augmented."""
        return self.work.get(READ, 0) + self.work.get(READ_FOR_EVALUATION, 0)


def workload(context: Context) -> list[Stage]:
    """The stages of a study that are still to do, in their order; finished models are left out.

    A model in training counts whole: how far its checkpoint is, is not looked at.
    """
    teachers = context.unfinished([teacher for teacher in context.plan.teachers if not teacher.given])
    cells = context.unfinished(context.plan.students)
    stages = [_teachers(context, teachers), _stored(context, cells), _students(context, cells)]
    return [stage for stage in (*stages, _evaluation(context)) if stage is not None]


def _epoch(context: Context, section: TrainingConfig, split: Any = None) -> tuple[int, int]:
    """Steps and samples of an epoch."""
    batches: Batches = context.training_batches(section, 0, split=split)
    # A last batch of one image is dropped; of sentences, batches hold fewer samples than padded tokens.
    return len(batches), min(batches.size, len(batches) * section.batch_size)


def _teachers(context: Context, todo: Sequence[Teacher]) -> Stage | None:
    if not todo:
        return None
    section = context.config.teacher
    steps, samples = _epoch(context, section)
    groups = len({teacher.seed for teacher in todo})  # teachers of one seed share their batches
    whole = section.epochs * samples
    work = {READ: groups * whole, Kind("train", "teacher", section.model.name): len(todo) * whole}
    return Stage("teachers", len(todo), section.epochs, steps, len(todo) * section.epochs * steps, 0, work)


def _stored(context: Context, cells: Sequence[Cell]) -> Stage | None:
    views = context.stored_views
    taught = {cell.teacher for cell in cells if cell.distilled}
    if views is None or not taught:
        return None
    samples = views * len(context.taught) * len(taught)
    steps = -(-len(context.taught) // context.config.compute.eval_batch_size)
    work = {READ: samples, Kind("ask", "teacher", context.config.teacher.model.name): samples}
    return Stage("stored answers", len(taught), views, steps, 0, 0, work)


def student_groups(context: Context, cells: Iterable[Cell]) -> list[list[Cell]]:
    """The cells that will train together, as memory looks now."""
    size, found = group_size(context), []
    for seed in dict.fromkeys(cell.seed for cell in context.plan.students):
        for own in of_same_batches(context, [cell for cell in cells if cell.seed == seed]):
            found += [own[start : start + size] for start in range(0, len(own), size)]
    return found


def _students(context: Context, todo: Sequence[Cell]) -> Stage | None:
    if not todo:
        return None
    section, outputs = context.config.student, context.config.teacher.outputs  # of which nobody is asked
    steps, samples = _epoch(context, section, context.taught)
    work: Counter[Kind] = Counter()
    for group in student_groups(context, todo):
        work[READ] += section.epochs * samples
        for cell in group:
            work[Kind("train", "student", cell.student)] += section.epochs * samples
        if context.stored_views is None and not outputs:
            asked = Kind("ask", "teacher", context.config.teacher.model.name)
            work[asked] += len({cell.teacher for cell in group if cell.distilled}) * section.epochs * samples
    return Stage("students", len(todo), section.epochs, steps, len(todo) * section.epochs * steps, 0, dict(work))


def _evaluation(context: Context) -> Stage | None:
    """Passes over the split that chooses epochs, and over training, validation and test when a model is finished."""
    data = context.data
    teachers = () if context.config.teacher.outputs else context.plan.teachers
    owners: list[Teacher | Cell] = [*teachers, *context.plan.students]
    work: Counter[Kind] = Counter()
    untested: list[Teacher | Cell] = []
    passes = models = 0
    first = _first_of_groups(context, owners)
    for owner in owners:
        of_teacher = isinstance(owner, Teacher)
        kind = Kind("evaluate", "teacher" if of_teacher else "student", context.model_section(owner).name)
        record = context.read_record(owner)
        looked_at = []
        if record is None:
            section = context.config.teacher if of_teacher else context.config.student
            trained = not (isinstance(owner, Teacher) and owner.given)
            if trained and len(context.selection_split):
                looked_at += section.epochs * [len(context.selection_split)]
            looked_at.append(len(data.train))
            # The kept epoch's own pass over validation serves, unless the kept weights are the mean of several.
            known = trained and context.selection_split_name == "val" and not averaged_epochs(section)
            if len(data.validation) and not known:
                looked_at.append(len(data.validation))
        read = list(looked_at) if owner.name in first else []  # one reading for the whole group
        if record is None or context.task.metric.test not in record:
            looked_at.append(len(data.test))
            untested.append(owner)
            if of_teacher:  # stability and smoothness of its answers
                looked_at.append(min(len(data.train), max(FEWEST_IMAGES, IMAGES_PER_CLASS * data.num_classes)))
                read.append(looked_at[-1])
        passes, models = passes + len(looked_at), models + bool(looked_at)
        if looked_at:
            work[kind] += sum(looked_at)
            work[READ_FOR_EVALUATION] += sum(read)
    if untested:
        work[READ_FOR_EVALUATION] += len(in_passes(context, untested)) * len(data.test)
    return Stage("evaluation", models, 0, 0, 0, passes, dict(work)) if passes else None


def _first_of_groups(context: Context, owners: Sequence[Teacher | Cell]) -> set[str]:
    """Names of the first models of each group that trains together, and is looked at together."""
    teachers = context.unfinished([own for own in owners if isinstance(own, Teacher)])
    cells = context.unfinished([own for own in owners if isinstance(own, Cell)])
    of_seeds = {own.seed: own.name for own in reversed(teachers) if not own.given}
    first = {own.name for own in teachers if own.given} | set(of_seeds.values())
    return first | {group[0].name for group in student_groups(context, cells)}
