"""How long a student is trained: epochs enough for a number of steps, which few images make many epochs."""

from __future__ import annotations

import math

from tosmooth.config.schema import StudyConfig

FEWEST_STEPS = {"fine-tuned": 1_000, "from nothing": 4_000}  # of the student, by what it starts from


def with_steps_enough(config: StudyConfig, images: int) -> tuple[StudyConfig, str]:
    """The study with so many epochs that its students take `FEWEST_STEPS`, never fewer than it has; and that in words.

    A folder of 500 images is 8 batches of 64: what is long for ImageNet would end before the student has begun.

    Args:
        config: of the study.
        images: of its training split.
    """
    student = config.student
    how = "fine-tuned" if student.model.has_weights else "from nothing"
    each = math.ceil(images / student.batch_size)
    epochs = max(student.epochs, math.ceil(FEWEST_STEPS[how] / each))
    more = f", not {student.epochs}, so that it takes {FEWEST_STEPS[how]:,}" if epochs > student.epochs else ""
    words = (
        f"student {student.model.name}, {how}: {epochs} epochs of {each} steps{more} "
        f"({student.optimizer.name}, learning rate {student.optimizer.learning_rate:g}, batches of "
        f"{student.batch_size})"
    )
    return config.model_copy(update={"student": student.model_copy(update={"epochs": epochs})}), words
