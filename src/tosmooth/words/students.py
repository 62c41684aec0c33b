"""How sentences tell what students were trained with: a conclusion about T is one about a step size as well."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from tosmooth.words.numbers import count_of, listed

OPTIMIZERS = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW"}


def of_students(training: str) -> str:
    """What a conclusion that is forwarded alone adds of the students that it is about."""
    return f" Students: {training}." if training else ""


def without_teacher(smoothing: float) -> str:
    """`without a teacher`, of a control; `smoothing`: of its own labels."""
    return "without a teacher" + (f", on labels smoothed by α = {smoothing:g}" if smoothing else "")


def how_fast(environment: Mapping[str, Any], cell: str, where: str = "where the study ran") -> str:
    """How long a student took for an image; empty where that was not measured, or of another one.

    Args:
        environment: content of `environment.json`.
        cell: the student's name.
        where: the measuring was done.
    """
    taken = environment.get("milliseconds_per_image")
    if not isinstance(taken, Mapping) or taken.get("cell") != cell:
        return ""
    one, together, batch = (taken.get(key) for key in ("one", "together", "batch"))
    if not (isinstance(one, int | float) and isinstance(together, int | float) and isinstance(batch, int)):
        return ""
    threads = environment.get("threads")
    device = environment.get("gpu") or f"CPU, {count_of(threads if isinstance(threads, int) else 1, 'thread')}"
    return f"{one:.3g} ms an image, {together:.3g} ms in batches of {batch} ({device}, {where})"


def how_mixed(mixing: object) -> str:
    """`images mixed: MixUp 0.2, CutMix 1, in 50 % of the batches`; empty where they are not, or it is not known.

    Args:
        mixing: that part of a teacher's or students' section of the configuration, as it is on disk.
    """
    if not isinstance(mixing, Mapping):
        return ""
    numbers = [mixing.get(key, default) for key, default in (("mixup", 0), ("cutmix", 0), ("probability", 1))]
    if not all(isinstance(number, int | float) for number in numbers):
        return ""
    mixup, cutmix, probability = numbers
    kinds = [f"{name} {alpha:g}" for name, alpha in (("MixUp", mixup), ("CutMix", cutmix)) if alpha]
    if not kinds or not probability:
        return ""
    share = "" if probability == 1 else f", in {100 * probability:g} % of the batches"
    return f"images mixed: {', '.join(kinds)}{share}"


def how_students_train(training: Mapping[str, Any], rates: Collection[float]) -> str:
    """`SGD at 0.1, 4 epochs`; of several learning rates: `SGD, each setting at the better of 0.1 and 0.3, 4 epochs`.

    Args:
        training: the `optimizer` and the number of `epochs`; empty where they are not known, and so is the text.
        rates: the learning rates that settings could have, ascending; at least one.
    """
    if not training:
        return ""
    name, epochs = OPTIMIZERS[training["optimizer"]], count_of(training["epochs"], "epoch")
    texts = [f"{rate:.3g}" for rate in rates]
    if len(texts) == 1:
        return f"{name} at {texts[0]}, {epochs}"
    return f"{name}, each setting at the {'better' if len(texts) == 2 else 'best'} of {listed(texts)}, {epochs}"
