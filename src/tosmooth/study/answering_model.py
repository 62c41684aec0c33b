"""A frozen teacher as it answers students: its last layer in float32, and folded where that is asked for."""

from __future__ import annotations

from typing import Any

from tosmooth.models.folding import folded
from tosmooth.models.image_model import ImageModel
from tosmooth.models.last_layer import find_last_layer, keep_float32
from tosmooth.models.study_model import StudyModel
from tosmooth.study.context import Context
from tosmooth.study.plan import Teacher


def answering_model(context: Context, teacher: Teacher, model: StudyModel) -> tuple[StudyModel, bool]:
    """A teacher as it answers students, which changes none of its own figures; and whether it is folded.

    Its last layer is in float32, whatever the rest is in: its products are few, and rounding them is a fifth of bf16's
    error.
    """
    name, _ = find_last_layer(model, model.num_classes, context.last_layer(teacher))
    wanted, twin = context.config.compute.fold_teachers, None
    if wanted and isinstance(model, ImageModel):
        twin = folded(model.eval(), some_images(context), name)
    if wanted and twin is None:
        context.progress.note_once(f"{model.name}: no batch normalisation of it can be folded; it answers as it is")
    model = model if twin is None else context.compute.place(twin)
    keep_float32(find_last_layer(model, model.num_classes, name)[1])
    return model, twin is not None


def some_images(context: Context) -> Any:
    """Four images of the training split, on the device; (4, C, H, W)."""
    batch = next(context.whole_batches(context.data.train).epoch(0))  # the same ones in all processes
    return context.compute.put(batch).inputs[:4]
