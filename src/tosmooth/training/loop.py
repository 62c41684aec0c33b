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

from tosmooth.data.batches import Batches
from tosmooth.errors import NonFiniteError
from tosmooth.training.compute import Compute
from tosmooth.training.inputs import SharedInputs
from tosmooth.training.teaching import Teaching
from tosmooth.training.trainee import Trainee

CHECK_EVERY = 50  # steps between two looks at the flags; each look makes the host wait for the device


def train_group(
    group: Sequence[Trainee],
    batches: Batches,
    *,
    compute: Compute,
    teaching: Teaching | None = None,
    validate: Callable[[Trainee], Mapping[str, float]] | None = None,
    on_batch: Callable[[int, int], None] = lambda epoch, images: None,
) -> None:
    """Train every model of the group to the end of its epochs.

    Args:
        group: models with the same number of epochs; those that fail are left out from then on and carry the reason.
        batches: the shared training batches.
        teaching: where the teachers' logits come from, by the names that the students' loss functions use.
        validate: metrics of a model for its epoch record; needed where the best epoch is kept.
        on_batch: told the epoch (from 0) and the image-steps done, for progress.

    Raises:
        NonFiniteError: every model of the group has failed.
    """
    alive = [trainee for trainee in group if trainee.failure is None]

    # Loop
    for epoch in range(group[0].config.epochs):
        started, images_done = time.perf_counter(), 0
        for trainee in alive:
            trainee.model.train()
        for number, loaded in enumerate(batches.epoch(epoch)):
            batch = compute.put(loaded)
            inputs = SharedInputs(batch.images, channels_last=compute.channels_last)
            teacher_logits = {} if teaching is None else teaching.logits(batch, inputs)

            # Update
            for trainee in alive:
                trainee.step(inputs, batch.labels, teacher_logits)
            images_done += len(batch.labels)
            on_batch(epoch, len(batch.labels) * len(alive))

            # Faults
            if number % CHECK_EVERY == CHECK_EVERY - 1:
                alive = _still_finite(alive, epoch)
        alive = _still_finite(alive, epoch)

        # Evaluation
        speed = images_done / (time.perf_counter() - started)
        for trainee in alive:
            trainee.end_epoch(epoch, validate(trainee) if validate else {}, speed)


def _still_finite(alive: list[Trainee], epoch: int) -> list[Trainee]:
    """The models whose losses and gradients have all been finite; one transfer from the device serves all."""
    for trainee, stopped in zip(alive, torch.stack([t.stopped for t in alive]).tolist(), strict=True):
        if stopped:
            trainee.fail(epoch)
    remaining = [trainee for trainee in alive if trainee.failure is None]
    if not remaining:
        raise NonFiniteError("\n".join(str(trainee.failure) for trainee in alive))
    return remaining
