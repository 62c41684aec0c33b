"""What `tosmooth distill` says before it trains: what was decided, why, and about how long it will take."""

from __future__ import annotations

from collections.abc import Iterator

from tosmooth.data.base import ImageSplit
from tosmooth.data.upright import turned_in_words
from tosmooth.distill.length import in_words
from tosmooth.distill.settling import Settled
from tosmooth.study.context import Context
from tosmooth.study.decoded_images import decode_once
from tosmooth.study.estimate import stage_times
from tosmooth.study.precision_trial import settle_precision
from tosmooth.study.progress import clock
from tosmooth.study.workload import workload
from tosmooth.words.numbers import count_of

MINI_RUN = 6.0  # seconds of real steps, about, to reckon from
WORTH_TIMING = 500  # updates of all models: fewer are done before they are reckoned
WIDTH = 10  # of the names of the lines


def announce(context: Context, settled: Settled) -> None:
    """A line for each decision, into the progress; nothing where all models are finished.

    Args:
        context: of the study, whose models are still to train.
        settled: what was settled.
    """
    stages = workload(context)
    if not any(stage.steps for stage in stages):
        return
    context.progress.note("decided:")
    for name, text in _lines(context, settled):
        context.progress.note(f"  {name:<{WIDTH}}{text}")
    if sum(stage.steps for stage in stages) >= WORTH_TIMING and context.compute.processes.world == 1:
        decode_once(context)  # or the steps would be those of another loader
        settle_precision(context)  # or of another precision
        context.progress.stage("a few real steps, to reckon how long it takes")
        times, _, _ = stage_times(context, MINI_RUN)
        low, high = sum(time.low for time in times), sum(time.high for time in times)
        about = clock(low) if high < 1.2 * low else f"{clock(low)} to {clock(high)}"
        context.progress.note(f"  {'time':<{WIDTH}}about {about} on this machine ({context.compute.device.type})")


def _lines(context: Context, settled: Settled) -> Iterator[tuple[str, str]]:
    config, data, task = context.config, context.data, context.task
    yield from settled.decided
    sizes = ", ".join(
        f"{len(split):,} {what}"
        for split, what in (
            (data.train, "to train on"),
            (data.validation, "to choose by"),
            (data.test, "to test on once"),
        )
    )
    side = getattr(config.data, "image_size", None)
    yield task.samples, sizes + (f"; {side} pixels" if side is not None else "")
    if unlabelled := len(context.taught) - len(data.train):
        yield "", f"{unlabelled:,} without labels ({config.data.unlabelled}), to learn the teacher's answers to"
    if isinstance(data.train, ImageSplit) and (turned := turned_in_words(data.train)) is not None:
        yield "", turned
    for why in dict.fromkeys(met.why for met in settled.temperatures.values()):
        yield "T", why
    unit = "" if isinstance(data.train, ImageSplit) else " tokens"
    yield "students", in_words(config, len(context.training_batches(config.student, 0, split=context.taught)), unit)
    yield "", _count(context)


def _count(context: Context) -> str:
    """How many of them, and what is compared."""
    cells, controls = context.plan.cells, context.plan.untaught
    tried = len(context.config.student.learning_rates)
    found = f"{count_of(len(cells), 'student')} of {count_of(len(context.plan.teachers), 'teacher')}"
    if controls:
        found += f", {len(controls)} without a teacher"
    if tried > 1:
        found += f"; each setting at {tried} learning rates"
    return found
