"""The one training loop: a group of models over the same batches.

Teachers of several α are a group without a teacher; students of one seed are a group with one teacher per α. A batch is
loaded and augmented once and each teacher runs once on it, then every model takes its own step in turn, so the
activations of only one model are alive at a time. Nothing in a model's step depends on the others: a model trained in a
group ends bit-equal to the same model trained alone (same machine, versions and thread count, on the CPU).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from tosmooth.data.batches import SeededBatches
from tosmooth.errors import NonFiniteError
from tosmooth.models.build import ImageModel
from tosmooth.training.compute import Compute
from tosmooth.training.trainee import Trainee

CHECK_EVERY = 50  # steps between two looks at the losses; each look makes the host wait for the device


def teach(teachers: Mapping[str, ImageModel], images: Tensor, compute: Compute) -> dict[str, Tensor]:
    """Logits (N, K), float32, of each distinct teacher: eval mode, no graph."""
    with torch.no_grad(), compute.autocast():
        return {name: teacher(images).float() for name, teacher in teachers.items()}


def train_group(
    group: Sequence[Trainee],
    batches: SeededBatches,
    *,
    compute: Compute,
    teachers: Mapping[str, ImageModel] | None = None,
    validate: Callable[[Trainee], Mapping[str, float]] | None = None,
    on_batch: Callable[[int, int], None] = lambda epoch, images: None,
) -> None:
    """Train every model of the group to the end of its epochs.

    Args:
        group: models with the same number of epochs; those that fail are left out from then on and carry the reason.
        batches: the shared training batches.
        teachers: frozen teachers by name, as the students' loss functions name them.
        validate: metrics of a model for its epoch record; needed where the best epoch is kept.
        on_batch: told the epoch (from 0) and the image-steps done, for progress.

    Raises:
        NonFiniteError: every model of the group has failed.
    """
    # Input
    teachers = teachers or {}
    for teacher in teachers.values():
        teacher.eval().requires_grad_(False)
    alive = [trainee for trainee in group if trainee.failure is None]

    # Loop
    for epoch in range(group[0].config.epochs):
        started, images_done = time.perf_counter(), 0
        for trainee in alive:
            trainee.model.train()
        for number, batch in enumerate(batches.epoch(epoch)):
            images, labels = compute.put(batch)
            teacher_logits = teach(teachers, images, compute)

            # Update
            for trainee in alive:
                trainee.step(images, labels, teacher_logits)
            images_done += len(labels)
            on_batch(epoch, len(labels) * len(alive))

            # Faults
            if number % CHECK_EVERY == CHECK_EVERY - 1:
                alive = _still_finite(alive, epoch)
        alive = _still_finite(alive, epoch)

        # Evaluation
        speed = images_done / (time.perf_counter() - started)
        for trainee in alive:
            trainee.end_epoch(epoch, validate(trainee) if validate else {}, speed)


def _still_finite(alive: list[Trainee], epoch: int) -> list[Trainee]:
    for trainee in alive:
        trainee.check_finite(epoch)
    remaining = [trainee for trainee in alive if trainee.failure is None]
    if not remaining:
        raise NonFiniteError("\n".join(str(trainee.failure) for trainee in alive))
    return remaining
