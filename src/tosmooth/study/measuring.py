"""What is measured of a trained model: one pass a split yields metrics, calibration, centroids and kept features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from safetensors.torch import save
from torch import Tensor

from tosmooth.data.batches import Batches
from tosmooth.errors import NonFiniteError
from tosmooth.files import write_bytes
from tosmooth.folder.columns import TEMPERATURE
from tosmooth.folder.judged import keep_judged
from tosmooth.folder.paths import CENTROIDS_FILE, FEATURES_FILE, JUDGED_FILE, SEPARATION_FILE
from tosmooth.models.study_model import StudyModel
from tosmooth.study.context import Context
from tosmooth.study.plan import Cell, Teacher
from tosmooth.study.projection import choose_classes, is_shown
from tosmooth.tasks.base import Split
from tosmooth.training.evaluation import Evaluation, evaluate_together

MOST_TOGETHER = 2**28  # float32 numbers of the models that are read in one pass: 1 GiB
Owner = TypeVar("Owner", Teacher, Cell, Teacher | Cell)


def in_passes(context: Context, owners: Sequence[Owner], beside: int = 0) -> list[list[Owner]]:
    """Finished models in their order, by the pass over a split that they are looked at in: each image is decoded once
    for all models of a pass, which have `MOST_TOGETHER` numbers at most, or are one.

    Args:
        context: of the study.
        owners: the teachers or cells.
        beside: float32 numbers that the pass needs for each model beside its parameters.
    """
    passes, held = list[list[Owner]](), 0
    for owner in owners:
        own = context.parameters_of(owner) + beside
        if not passes or held + own > MOST_TOGETHER:
            passes.append([])
            held = 0
        passes[-1].append(owner)
        held += own
    return passes


def figures_of_correct(context: Context, split: Split, found: Evaluation, name: str) -> dict[str, object]:
    """What the task makes of right and wrong by sample, by column of the split's name ("val" or "test")."""
    figures = context.task.of_correct(split, found.correct)
    return {f"{name}/{key}": value for key, value in figures.items()}


class Measuring:
    """Measures the models of a study, all with the evaluation transform.

    Students that the projection shows keep the features of its classes, so that no second pass is needed. A teacher's
    own geometry says which classes those are, so a teacher keeps none.

    Args:
        context: of the study.
        students: whether students are measured; their teachers have been, then.
    """

    def __init__(self, context: Context, *, students: bool) -> None:
        self._context = context
        wanted = students and not context.config.teacher.outputs  # which have no geometry to choose by
        self._classes = context.compute.processes.on_main(lambda: choose_classes(context)) if wanted else ()
        self._batches: dict[int, Batches] = {}  # by split: loader processes are started once

    def evaluate_together(
        self, owners: Sequence[Teacher | Cell], models: Sequence[StudyModel], split: Split, *, judge: bool = True
    ) -> list[Evaluation]:
        """All that the analysis wants to know of some models on a split, in one pass over it; with `judge`, their
        metrics too, and on validation the temperatures that fit them."""
        context = self._context
        if id(split) not in self._batches:
            self._batches[id(split)] = context.evaluation_batches(split)
        return evaluate_together(
            models,
            self._batches[id(split)],
            context.compute,
            centroids=True,
            keep=[self._classes if isinstance(own, Cell) and is_shown(context, own) else () for own in owners],
            layers=[context.last_layer(owner) for owner in owners],
            class_outputs=context.data.class_outputs,
            judge=judge,
            fit=judge and split is context.data.validation,
        )

    def passes(
        self,
        owners: Sequence[Teacher | Cell],
        models: Sequence[StudyModel],
        on_validation: Sequence[Evaluation | None],
    ) -> list[dict[str, Evaluation]]:
        """What `record` wants to know of each of several models, by "train" and "val": one pass over each split.

        Args:
            owners: the teachers or cells.
            models: theirs, with their kept weights.
            on_validation: of the same weights, where training has evaluated them already.
        """
        data = self._context.data
        found = [{} if known is None else {"val": known} for known in on_validation]
        for name, split in (("train", data.train), ("val", data.validation)):
            todo = [number for number, known in enumerate(found) if name not in known] if len(split) else []
            if todo:
                own, theirs = [owners[number] for number in todo], [models[number] for number in todo]
                done = self.evaluate_together(own, theirs, split, judge=name == "val")
                for number, evaluation in zip(todo, done, strict=True):
                    found[number][name] = evaluation
        return found

    def record(
        self,
        owner: Teacher | Cell,
        model: StudyModel,
        record: dict[str, object],
        found_on: Mapping[str, Evaluation] | None = None,
    ) -> None:
        """Write the centroids on training and validation data, and the record that marks the model as finished.

        Args:
            owner: the teacher or cell.
            model: with its kept weights.
            record: how the training ended.
            found_on: as `passes` gives it; None: it is found now.

        Raises:
            NonFiniteError: its features are not finite. Nothing is written, then.
        """
        context = self._context
        tensors: dict[str, Tensor] = {}
        features: dict[str, Tensor] = {}
        judged: Evaluation | None = None
        figures: dict[str, object] = {"parameters": sum(p.numel() for p in model.parameters())}
        passes = self.passes([owner], [model], [None])[0] if found_on is None else found_on
        for name, split in (("train", context.data.train), ("val", context.data.validation)):
            if not len(split):
                continue
            found = passes[name]
            if name == "val":
                figures |= found.columns("val") | context.measure(owner, model, "val")
                figures |= figures_of_correct(context, split, found, "val") | {TEMPERATURE: found.temperature}
                judged = found
            if not found.finite:
                raise NonFiniteError(
                    f"{owner.name}: its features are NaN or infinite in evaluation, though its losses were not; "
                    "a lower learning rate, gradient_clip=1.0 or larger batches for batch normalisation usually help"
                )
            assert found.centroids is not None
            tensors |= {f"{name}.{key}": value.cpu() for key, value in found.centroids.state_dict().items()}
            if found.features is not None:
                features |= {f"{name}.features": found.features[0], f"{name}.labels": found.features[1]}
        folder = context.folder(owner)

        def write() -> None:
            (folder / SEPARATION_FILE).unlink(missing_ok=True)  # of an earlier training
            (folder / JUDGED_FILE).unlink(missing_ok=True)
            write_bytes(folder / CENTROIDS_FILE, save(tensors))
            if features:
                write_bytes(folder / FEATURES_FILE, save(features))
            if judged is not None:
                keep_judged(folder, "val", judged.correct, judged.answers)

        context.compute.processes.on_main(write)
        context.write_record(owner, {**record, **figures})
