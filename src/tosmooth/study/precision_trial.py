"""`compute.precision: measured`: a few real steps of each model in float32 and in bf16, once a study.

The steps are those of the study's own loops: its models (with random weights), its batch and image size, its optimiser.
What was found is recorded in the study, and whoever works on it from then on reads it: a resume, the other processes of
a run, other machines. Nobody's weights or random numbers are changed.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tosmooth.config.schema import StudyConfig
from tosmooth.data.batches import Batch, Batches
from tosmooth.errors import StudyError
from tosmooth.folder.paths import PRECISION_FILE
from tosmooth.folder.remedies import remedy_of
from tosmooth.folder.writing import load_json, write_json
from tosmooth.memory import is_out_of_memory
from tosmooth.models.build import build_image_model
from tosmooth.models.image_model import ImageModel
from tosmooth.study.context import Context
from tosmooth.study.environment import describe_environment
from tosmooth.study.kinds import Choice, Kind
from tosmooth.study.plan import Cell, Teacher
from tosmooth.study.timing import Timing, seconds_of_turn
from tosmooth.training.compute import Compute
from tosmooth.training.device import computes_in_bf16
from tosmooth.training.processes import Processes
from tosmooth.words.precision import WHY

MARGIN = 1.1  # by how much bf16 must be faster: less is within what one machine differs by from hour to hour
FEWEST_STEPS = 200  # of a model in all: measuring takes about forty
MOST_SECONDS = 15.0  # of a model, but for the fewest rounds
ROUNDS, FEWEST_ROUNDS = 7, 3
TRIED = "resnet20"  # where nobody has a study
BOTH = ("float32", "bf16")
NOT_KNOWN = Choice(None, "not known")  # of what was trained before its record was lost
MACHINE = ("cpu", "gpu", "device", "threads", "torch")  # of the environment: what the times are of


class Compared(NamedTuple):
    """Times of the same work in both precisions.

    Attributes:
        float32, bf16: seconds of a step, medians over the rounds.
        speedup: float32's seconds by bf16's, median of the ratios within each round.
        rounds: how often both took their turn.
    """

    float32: float
    bf16: float
    speedup: float
    rounds: int

    @property
    def faster(self) -> str:
        """bf16 where it is clearly faster, else float32."""
        return "bf16" if self.speedup >= MARGIN else "float32"


def compare(step: Mapping[str, Callable[[], float]], seconds: float = MOST_SECONDS) -> Compared:
    """Let both precisions take turns.

    Args:
        step: by precision: does the work, and says how many seconds it took.
        seconds: after which no further round begins, but for the fewest.
    """
    started, times = time.perf_counter(), list[tuple[float, float]]()
    while len(times) < ROUNDS and (len(times) < FEWEST_ROUNDS or time.perf_counter() - started < seconds):
        order = BOTH if len(times) % 2 == 0 else BOTH[::-1]  # whoever comes second finds the machine warm
        found = {precision: step[precision]() for precision in order}
        times.append((found["float32"], found["bf16"]))
    whole, half = (statistics.median(column) for column in zip(*times, strict=True))
    return Compared(whole, half, statistics.median(a / b for a, b in times), len(times))


def compare_on(compute: Compute) -> Compared:
    """Both precisions in training steps of a small ResNet on random images, within some seconds."""
    with _own_randomness(compute.device):
        model = compute.place(build_image_model(TRIED, 10, seed=0)).train()
        images = torch.rand(64, 3, 32, 32, device=compute.device)
        batch = Batch(images, torch.zeros(64, dtype=torch.int64), torch.arange(64))
        step = {precision: _step(model, replace(compute, precision=precision), batch) for precision in BOTH}
        return compare(step, seconds=2.0)


def _step(model: ImageModel, compute: Compute, batch: Batch) -> Callable[[], float]:
    def loop(batches: Batches) -> None:
        for one in batches.epoch(0):
            with compute.autocast():
                logits = model(one.inputs)
            logits.float().logsumexp(1).sum().backward()

    return partial(seconds_of_turn, loop, batch, compute)


def _own_randomness(device: torch.device) -> AbstractContextManager[None]:
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])


def measures_precision(config: StudyConfig) -> bool:
    """Whether a study measures in which precision its models are faster."""
    return "measured" in {config.compute.precision, config.compute.teacher_precision}


def settle_precision(context: Context) -> None:
    """Have the context know the precision of each model where it is to be measured; measure and record what is not.

    Rank 0 of several processes does it for all. Kinds whose models are all finished are left alone: what they were
    trained in, only the record knows.

    Raises:
        StudyError: the record is damaged.
    """
    if wanted := _open(context):
        context.precisions.update(context.compute.processes.on_main(lambda: _found(context, wanted, record=True)))


def as_settled(context: Context) -> Context:
    """The context with the precisions that its study has or would have on this machine; nothing is written."""
    wanted = _open(context)
    return replace(context, precisions=_found(context, wanted, record=False)) if wanted else context


def _open(context: Context) -> dict[Kind, int]:
    """What is wanted, unless the context knows all of it."""
    if not measures_precision(context.config):
        return {}
    wanted = _wanted(context)
    return wanted if any(context.precisions.get(kind, NOT_KNOWN) == NOT_KNOWN for kind in wanted) else {}


def _wanted(context: Context) -> dict[Kind, int]:
    """What is to be measured, and how many steps of it the whole study takes."""
    config, compute = context.config, context.config.compute
    training, steps = compute.precision == "measured", Counter[Kind]()
    asking = compute.teacher_precision == "measured" or (training and compute.teacher_precision == "auto")
    name = config.teacher.model.name
    trained = sum(not teacher.given for teacher in context.plan.teachers)
    taken = config.student.epochs * len(context.training_batches(config.student, 0, split=context.taught))
    if training and trained:
        batches = len(context.training_batches(config.teacher, 0))
        steps[Kind("train", "teacher", name)] = trained * config.teacher.epochs * batches
    for cell in context.plan.students if training else ():
        steps[Kind("train", "student", context.model_section(cell).name)] += taken
    if asking and not config.teacher.outputs:
        views, taught = context.stored_views, {(c.seed, c.teacher) for c in context.plan.cells if c.distilled}
        stored = -(-len(context.taught) // config.compute.eval_batch_size)
        times = len(taught) * taken if views is None else len({own for _, own in taught}) * views * stored
        steps[Kind("ask", "teacher", name)] = times
    return {kind: count for kind, count in steps.items() if count}


def _found(context: Context, wanted: Mapping[Kind, int], *, record: bool) -> dict[Kind, Choice]:
    path = context.directory.state / PRECISION_FILE
    rows: Any = load_json(path, dict, remedy_of(path)).get("models") if path.is_file() else []
    try:
        known = {Kind(row["what"], row["role"], row["model"]): _choice(row) for row in rows}
    except (LookupError, TypeError, ValueError):
        raise StudyError(f"{path} is damaged; {remedy_of(path)}") from None
    missing = {kind: steps for kind, steps in wanted.items() if kind not in known and _at_work(context, kind)}
    if missing:
        context.progress.stage("measuring in which precision each model is faster")
        for kind, steps in missing.items():
            row = _measured(context, kind, steps)
            rows.append(row)
            known[kind] = _choice(row)
            context.progress.note(_in_words(kind, row))
        if record:
            write_json(path, {"margin": MARGIN, "fewest_steps": FEWEST_STEPS, "models": rows})
    return {kind: known.get(kind, NOT_KNOWN) for kind in wanted}


def _choice(row: Mapping[str, Any]) -> Choice:
    if row["precision"] not in BOTH or row["reason"] not in WHY:
        raise ValueError
    return Choice(row["precision"], row["reason"])


def _at_work(context: Context, kind: Kind) -> bool:
    """Whether a model is still to train in a kind's precision, or to learn what it answers."""
    owners: Iterable[Teacher | Cell]
    if kind.what == "ask":
        owners = (cell for cell in context.plan.students if cell.distilled)
    elif kind.role == "teacher":
        owners = (teacher for teacher in context.plan.teachers if not teacher.given)
    else:
        owners = (cell for cell in context.plan.students if context.model_section(cell).name == kind.model)
    return any(context.read_record(owner) is None for owner in owners)


def _measured(context: Context, kind: Kind, steps: int) -> dict[str, Any]:
    """A row of the record: what was chosen, why, and what it rests on."""
    device = context.compute.device
    usual = context.compute.teacher_precision if kind.what == "ask" else context.compute.precision
    reason, found, precision = "measured", None, usual
    if not computes_in_bf16(device):
        reason, precision = "no bf16", "float32"
    elif steps < FEWEST_STEPS:
        reason = "too few steps"
    else:
        try:
            found = _compared(context, kind)
            precision = found.faster
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            reason = "out of memory"
        gc.collect()
    machine = describe_environment(context.compute)
    return {
        **kind._asdict(),
        "precision": precision,
        "reason": reason,
        "steps": steps,
        **({} if found is None else found._asdict()),
        "machine": {key: machine[key] for key in MACHINE},
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _compared(context: Context, kind: Kind) -> Compared:
    alone = replace(context.compute, processes=Processes())
    with _own_randomness(alone.device):
        batch, step = _batch(context, kind), dict[str, Callable[[], float]]()
        for precision in BOTH:
            compute = replace(alone, precision=precision, teacher_precision=precision)
            own = replace(context, compute=compute, precisions={kind: Choice(precision, "measured")})
            loop, _ = Timing(own, 0.0).loop(kind)
            step[precision] = partial(seconds_of_turn, loop, batch, alone)
        return compare(step)


def _batch(context: Context, kind: Kind) -> Batch:
    """A real batch as the study would make it."""
    config = context.config
    split = context.data.train if kind == ("train", "teacher", kind.model) else context.taught
    size = config.teacher.batch_size if kind.role == "teacher" and kind.what == "train" else config.student.batch_size
    if kind.what == "ask" and context.stored_views is not None:
        size = config.compute.eval_batch_size
    batches = context.pipeline.training(split, batch_size=size, seed=0)
    batch = context.compute.put(next(batch for batch in batches.epoch(0) if batch.counted))
    if not isinstance(batch.inputs, Tensor):
        return batch
    return Batch(batch.inputs, batch.labels.clamp(min=0), batch.indices)  # no label: any takes as long


def _in_words(kind: Kind, row: Mapping[str, Any]) -> str:
    who = f"{'frozen ' if kind.what == 'ask' else ''}{kind.role} {kind.model}"
    why = {
        "measured": f"bf16 is {row.get('speedup', 0.0):.2f} times as fast as float32",
        "no bf16": "this machine does not compute in bf16 itself",
        "too few steps": f"not measured for {row['steps']} steps",
        "out of memory": "there was no memory to measure in",
    }[row["reason"]]
    return f"{who}: {row['precision']} ({why})"
