"""How sentences tell what students were trained with: a conclusion about T is one about a step size as well."""

from __future__ import annotations

from tosmooth.config.schema import StudentConfig
from tosmooth.words.numbers import count_of

OPTIMIZERS = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW"}


def of_students(training: str) -> str:
    """What a conclusion that is forwarded alone adds of the students that it is about."""
    return f" Students: {training}." if training else ""


def without_teacher(smoothing: float) -> str:
    """`without a teacher`, of a control; `smoothing`: of its own labels."""
    return "without a teacher" + (f", on labels smoothed by α = {smoothing:g}" if smoothing else "")


def how_students_train(student: StudentConfig) -> str:
    """`SGD at 0.1, 4 epochs`; of several learning rates: `SGD, each setting at the better of 0.1 and 0.3, 4 epochs`."""
    name, rates = OPTIMIZERS[student.optimizer.name], [f"{rate:.3g}" for rate in student.peak_rates]
    epochs = count_of(student.epochs, "epoch")
    if len(rates) == 1:
        return f"{name} at {rates[0]}, {epochs}"
    better = "better" if len(rates) == 2 else "best"
    return f"{name}, each setting at the {better} of {', '.join(rates[:-1])} and {rates[-1]}, {epochs}"
