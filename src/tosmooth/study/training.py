"""The training stages of a study: teachers of all α together, then one group of students per seed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from tosmooth.data.views import ViewSchedule
from tosmooth.errors import NonFiniteError, StudyError
from tosmooth.models.weights import save_weights
from tosmooth.study.context import Context
from tosmooth.study.measuring import Measuring
from tosmooth.study.plan import Cell, Teacher
from tosmooth.study.teaching import StudyTeaching, student_views
from tosmooth.training.evaluation import Evaluation
from tosmooth.training.loop import train_group
from tosmooth.training.teaching import Teaching
from tosmooth.training.trainee import LossFunction, Trainee, distillation_from, label_smoothing_loss


def train_teachers(context: Context) -> None:
    """Train (or take over) every teacher that has no result yet, and measure it.

    Raises:
        StudyError: a teacher failed; there is no grid without all of them.
    """
    todo = [teacher for teacher in context.plan.teachers if context.read_record(teacher) is None]
    if todo:
        _train_teachers(context, todo)
    records = [context.read_record(teacher) or {} for teacher in context.plan.teachers]
    failures = [record["failure"] for record in records if record.get("status") == "failed"]
    if failures:
        raise StudyError("a study needs all its teachers:\n" + "\n".join(failures))


def _train_teachers(context: Context, todo: Sequence[Teacher]) -> None:
    alphas = ", ".join(f"{teacher.label_smoothing:g}" for teacher in todo)
    section = context.config.teacher
    if not section.train:
        context.progress.stage(f"measuring the given teachers, α = {alphas}")
        measuring = Measuring(context, students=False)
        for teacher in todo:
            model = context.compute.place(context.new_model(section.model, teacher.seed, teacher.checkpoint))
            save_weights(model, context.folder(teacher) / "model.safetensors")
            measuring.record(teacher, model, {"status": "given", "selection": "given"})
        return
    trainees = [_trainee(context, teacher, label_smoothing_loss(teacher.label_smoothing)) for teacher in todo]
    _run(context, f"teachers, α = {alphas}", todo, trainees)


def train_students(context: Context, cells: Sequence[Cell], teaching: StudyTeaching) -> None:
    """Train the students of one seed, and measure them; in several groups if memory does not hold all at once.

    Finished cells are left alone. How cells are grouped changes no result.
    """
    todo = [cell for cell in cells if context.read_record(cell) is None]
    size = context.config.compute.group_size or students_that_fit(context)
    for start in range(0, len(todo), size):
        _train_students(context, todo[start : start + size], teaching)


def students_that_fit(context: Context) -> int:
    """How many students of the study the device can hold at once, at least 1.

    A student that waits for its turn holds its weights and what its optimiser remembers; gradients and activations
    exist for one student at a time, and have the other half of the free memory.
    """
    config = context.config.student
    copies = 1 + {"sgd": 1, "adamw": 2}[config.optimizer.name]
    each = 4 * copies * context.count_parameters(config.model)
    return max(1, context.compute.free_memory() // 2 // max(1, each))


def _train_students(context: Context, todo: Sequence[Cell], teaching: StudyTeaching) -> None:
    needed = {cell.teacher for cell in todo}
    taught_by = teaching.of([teacher for teacher in context.plan.teachers if teacher.name in needed])
    hard_weight = context.config.student.hard_weight
    trainees = [
        _trainee(context, cell, distillation_from(cell.teacher, cell.temperature, cell.objective, hard_weight))
        for cell in todo
    ]
    views = student_views(context, todo[0].seed)
    seeds = context.config.student.seeds
    position = f"{seeds.index(todo[0].seed) + 1} of {len(seeds)}"
    _run(context, f"{len(todo)} students, seed {todo[0].seed} ({position})", todo, trainees, taught_by, views)


def _trainee(context: Context, owner: Teacher | Cell, loss: LossFunction) -> Trainee:
    section = context.config.teacher if isinstance(owner, Teacher) else context.config.student
    model = context.new_model(section.model, owner.seed, owner.checkpoint if isinstance(owner, Teacher) else None)
    return Trainee(
        name=owner.name,
        model=model,
        loss_function=loss,
        config=section,
        compute=context.compute,
        seed=owner.seed,
        steps_per_epoch=len(context.training_batches(section, owner.seed)),
        folder=context.folder(owner),
        select_by=None if context.selection == "last" else f"{context.selection_split_name}/top1",
    )


def _run(
    context: Context,
    title: str,
    owners: Sequence[Teacher | Cell],
    trainees: Sequence[Trainee],
    teaching: Teaching | None = None,
    views: ViewSchedule | None = None,
) -> None:
    """Train a group, then measure each of its models with the kept weights."""
    config = trainees[0].config
    cost = sum(p.numel() for p in trainees[0].model.parameters())
    context.progress.stage(title, epochs=config.epochs, cost=cost, models=len(trainees))

    measuring = Measuring(context, students=isinstance(owners[0], Cell))
    evaluations: dict[str, Evaluation] = {}  # on validation, with the weights that are kept so far

    def validate(trainee: Trainee) -> dict[str, float]:
        owner = owners[trainees.index(trainee)]
        found = measuring.evaluate(owner, trainee.model, context.selection_split)
        columns = found.columns(context.selection_split_name)
        if trainee.select_by is None or columns[trainee.select_by] > trainee.best_score:
            evaluations[trainee.name] = found
        return columns

    with suppress(NonFiniteError):  # all failed: each carries its reason, which is recorded below
        train_group(
            trainees,
            context.training_batches(config, owners[0].seed, views),
            compute=context.compute,
            teaching=teaching,
            validate=validate if len(context.selection_split) else None,
            on_batch=context.progress.batch,
        )
    context.progress.end_stage()
    for owner, trainee in zip(owners, trainees, strict=True):
        if trainee.failure is not None:
            context.progress.note(f"failed: {trainee.failure}")
            context.write_record(owner, {"status": "failed", "failure": trainee.failure})
            continue
        trainee.restore_selected()
        record = {
            "status": "done",
            "selection": context.selection,
            "selected_epoch": trainee.selected_epoch,
            "train/loss": trainee.last_record["train/loss"],
        }
        on_validation = evaluations.get(trainee.name) if context.selection_split_name == "val" else None
        measuring.record(owner, trainee.model, record, on_validation)
