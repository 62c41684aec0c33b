"""How the students of a study are taught: live, or from stored logits; and the filling of what is stored."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version
from typing import Any

import torch
from torch import nn

from tosmooth.config.schema import ModelConfig
from tosmooth.data.teacher_outputs import GivenOutputs
from tosmooth.data.views import EachView, StoredViews
from tosmooth.errors import StudyError
from tosmooth.files import path_safe
from tosmooth.memory import is_out_of_memory
from tosmooth.models.features import PenultimateFeatures
from tosmooth.models.last_layer import LinearLayer, find_last_layer
from tosmooth.models.study_model import HiddenStateModel, StudyModel
from tosmooth.study.answering_model import answering_model, some_images
from tosmooth.study.context import Context
from tosmooth.study.given_outputs import outputs_of
from tosmooth.study.plan import Teacher
from tosmooth.study.precision import compute_to_ask
from tosmooth.study.precision_trial import settle_precision
from tosmooth.study.stored_views import store_views, transforms_of
from tosmooth.training.teacher_cache import CachedTeacher, Stamp, TeacherCache, weights_digest
from tosmooth.training.teaching import CachedTeachers, GivenTeachers, LiveTeachers, Teaching, fill

LIVE_FOR_MIXED = "teachers run live: images are mixed (student.mixing), and no mixture comes twice to be stored"
HELD_SHARE = 0.25  # of the free memory: for stored answers of all teachers together


def room_for_answers(context: Context) -> int:
    """Bytes on the device that stored answers of all teachers may hold together; others are read from the disk.

    Processes that work on CPUs may share one memory.
    """
    sharing = context.compute.processes.world if context.compute.device.type == "cpu" else 1
    return int(HELD_SHARE * context.compute.free_memory() / sharing)


def most_held(context: Context) -> int:
    """Bytes that stored answers hold on the device, at most: before they are made, logits are what is reckoned with."""
    views = context.stored_views or 0
    whole = 2 * views * len(context.taught) * context.data.num_outputs * len(context.plan.teachers)
    return min(whole, room_for_answers(context))


def student_views(context: Context, seed: int) -> StoredViews | None:
    """Which views the students of a seed see; None for fresh ones."""
    views = context.stored_views
    return None if views is None else StoredViews(views, context.config.cache.view_seed, seed)


class StudyTeaching:
    """The teachers of a study for its groups of students, each loaded (or its stored logits checked) once."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._live: dict[str, StudyModel] = {}
        self._stored: dict[str, CachedTeacher] = {}
        self._room: int | None = None  # bytes that stored answers may still hold on the device
        if context.config.student.mixing.on and context.config.cache.views != "off":
            context.progress.note_once(LIVE_FOR_MIXED)

    def of(self, teachers: Sequence[Teacher]) -> Teaching:
        """Teaching by these teachers; what is to be stored of them is computed now, as far as it is not there.

        Raises:
            CacheError: a cache is another teacher's, damaged, or cannot be written.
        """
        context, views = self._context, self._context.stored_views
        settle_precision(context)
        store_views(context)
        if context.config.teacher.outputs:
            logits = self._outputs.train.to(context.compute.device)
            return GivenTeachers({teacher.name: logits for teacher in teachers})
        for teacher in teachers:
            if views is None and teacher.name not in self._live:
                self._live[teacher.name], _ = answering_model(context, teacher, context.trained_model(teacher))
            elif views is not None and teacher.name not in self._stored:
                self._stored[teacher.name] = _stored(context, teacher, context.trained_model(teacher), views)
                self._hold(self._stored[teacher.name].cache)
        names = [teacher.name for teacher in teachers]
        if views is None:
            live = {name: self._live[name] for name in names}
            return LiveTeachers(live, compute_to_ask(context), fused=context.fused_loss)
        return CachedTeachers({name: self._stored[name] for name in names}, fused=context.fused_loss)

    def _hold(self, cache: TeacherCache) -> None:
        """Hold it on the device if there is room beside those that are held already."""
        if self._room is None:
            self._room = room_for_answers(self._context)
        cache.resident = cache.stamp.nbytes <= self._room
        self._room -= cache.stamp.nbytes if cache.resident else 0

    @cached_property
    def _outputs(self) -> GivenOutputs:
        return outputs_of(self._context)


def filling_work(context: Context) -> float:
    """What filling the caches costs, in the progress bar's image-steps × parameters; a forward is a third of a step."""
    if (views := context.stored_views) is None:
        return 0.0
    parameters = context.count_parameters(context.config.teacher.model)
    return views * len(context.taught) * len(context.plan.teachers) * parameters / 3


def _stored(context: Context, teacher: Teacher, model: StudyModel, views: int) -> CachedTeacher:
    layer_name, layer = find_last_layer(model, model.num_classes, context.last_layer(teacher))
    head = head_to_apply(context, model, layer_name, layer)
    answering, is_folded = answering_model(context, teacher, model)
    section = context.config.teacher.model
    structure = structure_of(model, section)
    stamp = Stamp(
        model=model.name,
        teacher=weights_digest(model, layer_name, *structure),
        data=context.taught.digest(with_times=True),
        augmentation=context.config.data.full_augmentation,
        transforms=transforms_of(context),
        image_size=context.config.data.image_size,
        views=views,
        view_seed=context.config.cache.view_seed,
        samples=len(context.taught),
        content="logits" if head is None else "features",
        width=model.num_classes if head is None else head.in_features,
        precision=_precision(context, is_folded, applied=head is not None),
    )
    folder = context.cache_directory / f"{path_safe(model.name)}-{stamp.key}"
    cache = TeacherCache(folder, stamp, batch_size=context.config.compute.eval_batch_size)
    cost = sum(p.numel() for p in model.parameters()) / 3
    (lacking,) = context.compute.processes.any(not cache.complete)
    if not lacking:
        context.progress.skip(cost * views * len(context.taught))
        return CachedTeacher(cache, head)
    batches = context.pipeline.in_order(
        context.taught, batch_size=cache.batch_size, views=EachView(views, stamp.view_seed)
    )
    context.progress.stage(f"storing the logits of teacher {teacher.name}", epochs=views, cost=cost)
    progress = context.progress
    try:
        compute = compute_to_ask(context)
        fill(cache, answering, batches, compute, layer=layer_name, on_batch=progress.batch, note=progress.note)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise StudyError(  # smaller groups of students would not help: none of them is there yet
            f"out of memory while the answers of teacher {teacher.name} were stored; a smaller compute.eval_batch_size "
            "needs less"
        ) from None
    context.progress.end_stage()
    return CachedTeacher(cache, head)


def _precision(context: Context, is_folded: bool, *, applied: bool) -> str:
    """That of the rows; `applied`: their last layer is applied on reading, in float32 as always."""
    precision = compute_to_ask(context).teacher_precision
    last = ["last layer float32"] if precision != "float32" and not applied else []
    return ", ".join([precision, *last, *(["folded"] if is_folded else [])])


def structure_of(model: StudyModel, section: ModelConfig) -> tuple[object, ...]:
    """All that a model's answers depend on beside its weights: what is stored of it has this in its name."""
    seen = getattr(model, "input", None)  # how images are prepared
    config: Any = getattr(model.backbone, "config", None)  # a model of transformers: heads and scales are no weights
    written = config.to_json_string() if hasattr(config, "to_json_string") else None
    library = "timm" if written is None else "transformers"
    return (model.name, section.kwargs, section.width, seen, repr(model.backbone), written, version(library))


def head_to_apply(context: Context, model: StudyModel, name: str, layer: LinearLayer) -> nn.Linear | None:
    """The last layer, if it alone turns penultimate features into logits and the features are fewer; else None."""
    if not isinstance(layer, nn.Linear) or layer.in_features >= model.num_classes:
        return None
    if isinstance(model, HiddenStateModel):
        return model.last_layer
    images = some_images(context)
    with torch.no_grad(), PenultimateFeatures(model, model.num_classes, name) as features_of:
        logits, features = features_of(images)
        same = torch.allclose(layer(features), logits, rtol=1e-3, atol=1e-4)
    return layer if same else None
