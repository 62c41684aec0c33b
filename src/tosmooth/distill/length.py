"""How long a student is trained: epochs enough for a number of steps, which few images make many epochs."""

from __future__ import annotations

import math

from tosmooth.config.schema import StudyConfig

FEWEST_STEPS = {"fine-tuned": 1_000, "from nothing": 4_000}  # of the student, by what it starts from


def with_steps_enough(config: StudyConfig, images: int) -> StudyConfig:
    """The study with so many epochs that its students take `FEWEST_STEPS`, never fewer than it has.

    A folder of 500 images is 8 batches of 64: what is long for ImageNet would end before the student has begun.

    Args:
        config: of the study.
        images: of its training split.
    """
    student = config.student
    epochs = max(student.epochs, math.ceil(FEWEST_STEPS[how_it_starts(config)] / _steps(config, images)))
    return config.model_copy(update={"student": student.model_copy(update={"epochs": epochs})})


def in_words(config: StudyConfig, steps: int, unit: str = "") -> str:
    """`resnet18, fine-tuned: 30 epochs of 34 steps (adamw, learning rate 0.001, batches of 64)`.

    Args:
        config: of the study.
        steps: of an epoch.
        unit: of the size of a batch; empty: images.
    """
    student = config.student
    return (
        f"{student.model.name}, {how_it_starts(config)}: {student.epochs} epochs of {steps} steps "
        f"({student.optimizer.name}, learning rate {student.optimizer.learning_rate:g}, batches of "
        f"{student.batch_size}{unit})"
    )


def how_it_starts(config: StudyConfig) -> str:
    """Of the student: "fine-tuned", or "from nothing"."""
    return "fine-tuned" if config.student.model.has_weights else "from nothing"


def _steps(config: StudyConfig, images: int) -> int:
    return math.ceil(images / config.student.batch_size)
