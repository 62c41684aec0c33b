"""The training stages of a study: teachers of all α together, then one group of students per seed."""

from __future__ import annotations

from collections.abc import Sequence

from safetensors.torch import save_file
from torch import Tensor

from tosmooth.data.views import ViewSchedule
from tosmooth.errors import StudyError
from tosmooth.models.build import ImageModel
from tosmooth.models.weights import save_weights
from tosmooth.study.context import Context
from tosmooth.study.plan import Cell, Teacher
from tosmooth.study.teaching import StudyTeaching, student_views
from tosmooth.training.evaluation import evaluate
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
        for teacher in todo:
            model = context.compute.place(context.new_model(section.model, teacher.seed, teacher.checkpoint))
            save_weights(model, context.folder(teacher) / "model.safetensors")
            _measure(context, teacher, model, {"status": "given", "selection": "given"})
        return
    trainees = [_trainee(context, teacher, label_smoothing_loss(teacher.label_smoothing)) for teacher in todo]
    _run(context, f"teachers, α = {alphas}", todo, trainees)


def train_students(context: Context, cells: Sequence[Cell], teaching: StudyTeaching) -> None:
    """Train one group of students, all of one seed, and measure them. Finished cells are left alone."""
    todo = [cell for cell in cells if context.read_record(cell) is None]
    if not todo:
        return
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
    selection_batches = context.evaluation_batches(context.selection_split)
    cost = sum(p.numel() for p in trainees[0].model.parameters())
    context.progress.stage(title, epochs=config.epochs, cost=cost, models=len(trainees))

    def validate(trainee: Trainee) -> dict[str, float]:
        return evaluate(trainee.model, selection_batches, context.compute).columns(context.selection_split_name)

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
        _measure(context, owner, trainee.model, record)


def _measure(context: Context, owner: Teacher | Cell, model: ImageModel, record: dict[str, object]) -> None:
    """Metrics on validation, centroids on training and validation, all with the evaluation transform."""
    layer = context.last_layer(owner)
    tensors: dict[str, Tensor] = {}
    figures: dict[str, object] = {"parameters": sum(p.numel() for p in model.parameters())}
    for name, split in (("train", context.data.train), ("val", context.data.validation)):
        if not len(split):
            continue
        found = evaluate(model, context.evaluation_batches(split), context.compute, centroids=True, layer=layer)
        if name == "val":
            figures |= found.columns("val")
        assert found.centroids is not None
        tensors |= {f"{name}.{key}": value.cpu() for key, value in found.centroids.state_dict().items()}
    save_file(tensors, context.folder(owner) / "centroids.safetensors")
    context.write_record(owner, {**record, **figures})
