"""How long the student to keep takes for an image on this machine: part of what a user gets, and no result."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tosmooth.advice.best_student import best_by_validation
from tosmooth.advice.comparisons import KEY
from tosmooth.data.augmentation import eval_transform
from tosmooth.data.base import ImageSplit, readable
from tosmooth.memory import is_out_of_memory
from tosmooth.study.context import Context
from tosmooth.study.plan import Cell

TOGETHER = 64  # images of a batch, or as many as evaluation has
SECONDS = 0.05  # each of the two takes about so long, or one pass


def answering_time(context: Context, done: Mapping[str, Cell], advice: Mapping[str, Any]) -> dict[str, Any] | None:
    """Milliseconds per image of the recommended setting's best student by validation, alone and in a batch.

    Args:
        context: of the study.
        done: its finished students by name.
        advice: frozen.

    Returns:
        `cell`, `one` and `together` (milliseconds per image, medians of `torch.utils.benchmark`), and `batch`, the
        number of images of the latter. None where samples are no images, or memory does not hold them.
    """
    split = context.data.train
    chosen = tuple(advice["recommendation"][key] for key in KEY)
    records = {name: context.read_record(cell) or {} for name, cell in done.items() if cell.setting == chosen}
    if not isinstance(split, ImageSplit) or not records:
        return None
    name, _ = best_by_validation(records, context.task.metric)
    model, section = context.trained_model(done[name]), context.config.data
    together = min(TOGETHER, context.config.compute.eval_batch_size)
    image = eval_transform(section.eval_transform, section.image_size)(
        next(readable(split, range(len(split)), section.on_error == "skip"))
    )
    try:
        return {"cell": name, **per_image(model, image.to(context.compute.device), together)}
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return None  # not worth a report


def per_image(model: nn.Module, image: Tensor, together: int) -> dict[str, float | int]:
    """Milliseconds per image, alone (`one`) and in a `batch` of so many (`together`); medians.

    Args:
        model: in eval mode.
        image: (C, H, W), where the model is.
        together: images of the batch.
    """
    # What the timer imports warns where there is nvcc and no GPU, as in many images of containers.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    from torch.utils.benchmark import Timer

    images = image[None].expand(together, *image.shape).contiguous()

    def milliseconds(number: int) -> float:
        timer = Timer(
            "model(images)", globals={"model": model, "images": images[:number]}, num_threads=torch.get_num_threads()
        )
        return round(1000 * timer.blocked_autorange(min_run_time=SECONDS).median / number, 4)

    with torch.inference_mode():
        return {"one": milliseconds(1), "together": milliseconds(together), "batch": together}
