"""What came of it: which student is kept, what to know before relying on it, and the rows of `distill.json`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tosmooth.analysis.crossed import crossed_variance
from tosmooth.analysis.similarity import FEWEST_CLASSES
from tosmooth.distill.call import Call
from tosmooth.distill.settling import CANDIDATES, Settled
from tosmooth.folder.paths import WEIGHTS_FILE
from tosmooth.folder.reading import read_unreadable
from tosmooth.study.context import Context
from tosmooth.study.plan import Cell, Teacher
from tosmooth.tasks.metric import Metric
from tosmooth.terminal import quoted

LEAST_LEARNT = 0.1  # of the way from chance to no error, that a model should have gone
ONE_SEED = "one seed chose: differences between these students may be chance; tosmooth study with seeds tells"
SEEDS = 3  # that a study has at least
FAR_BEHIND = 10.0  # points of validation behind the teacher, that are told
STILL_RISING = 1.0  # points from one fifth of the epochs to the next, that are told
NORMAL_95 = 1.96  # standard errors


def choose(cells: Sequence[Cell], scores: Mapping[str, float | None]) -> tuple[Cell, str]:
    """The student to keep, and why; test figures have no say.

    Args:
        cells: the finished students.
        scores: validation figures by name, of which more is better; None or NaN where there is no validation.
    """
    if len(cells) == 1:
        return cells[0], "the only student"
    known = {name: score for name, score in scores.items() if score is not None and math.isfinite(score)}
    if len(known) == len(cells):
        # Of equals the lower T, then the smoothed teacher: the paper's rule.
        best = min(cells, key=lambda cell: (-known[cell.name], cell.temperature, -cell.label_smoothing))
        equals = sum(score == known[best.name] for score in known.values()) - 1
        tie = f" ({equals} {'is' if equals == 1 else 'are'} as good; then the lower T, then the smoothed teacher)"
        return best, f"the best of {len(cells)} students by validation{tie if equals else ''}"
    rule = min(cells, key=lambda cell: (cell.temperature, -cell.label_smoothing))
    return rule, "by the paper's rule (smoothed teacher, lowest T): there is no validation split to choose by"


def shortfalls(theirs: float | None, ours: float | None, classes: int) -> list[str]:
    """What a user should know before relying on the student.

    Args:
        theirs: validation accuracy of the teacher, in percent; None: there is no validation.
        ours: the same of the student.
        classes: K.
    """
    found, chance = [], 100 / classes
    least = chance + LEAST_LEARNT * (100 - chance)
    if theirs is not None and theirs < least:
        found.append(
            f"the teacher is right on {theirs:.1f} % of validation, and chance on {chance:.1f} %: it hardly knows the "
            "data; fine-tune it, for longer (teacher.epochs=…) or with another learning rate"
        )
    elif ours is not None and theirs is not None and theirs < ours:
        found.append(
            f"the teacher ({theirs:.1f} % on validation) is worse than its student ({ours:.1f} %): a better teacher, "
            "or one that is fine-tuned longer, may give a better student"
        )
    if ours is not None and ours < least:
        found.append(
            f"the student is right on {ours:.1f} % of validation, and chance on {chance:.1f} %: it has hardly learnt "
            "anything; more epochs (student.epochs=…), another learning rate, or --student of another size"
        )
    return found


def unfinished(metric: Metric, ours: float | None, theirs: float | None, curve: Sequence[float]) -> list[str]:
    """Warnings where the student could well be better: far behind its teacher, or still rising when it ended.

    Args:
        metric: of the figures; in percent or other points.
        ours: validation figure of the student; None: there is no validation.
        theirs: of its teacher.
        curve: the student's validation figure after each epoch; empty where it is not known.
    """
    found = []
    if ours is not None and theirs is not None and (behind := metric.sign * (theirs - ours)) > FAR_BEHIND:
        found.append(
            f"the student is {behind:.1f} points behind its teacher on validation: longer training (student.epochs=…), "
            "another learning rate (student.learning_rates=[0.3,1,3]) or a larger student may bring it nearer"
        )
    fifth = len(curve) // 5
    if fifth:
        last, before = (metric.sign * math.fsum(part) / fifth for part in (curve[-fifth:], curve[-2 * fifth : -fifth]))
        if last - before > STILL_RISING:
            found.append(
                f"validation was still rising when the student's training ended (by {last - before:.1f} points between "
                f"the last two fifths of its epochs): try student.epochs={2 * len(curve)}"
            )
    return found


def control_of(chosen: Cell, controls: Sequence[Cell]) -> Cell | None:
    """The student without a teacher that a student is compared with: the first of the same seed, so that both had the
    same first weights and batches; None where there is none."""
    return next((cell for cell in controls if cell.seed == chosen.seed), None)


def gained(ours: NDArray[np.int8] | None, controls: NDArray[np.int8] | None) -> dict[str, float] | None:
    """What the student is better by on test than the one without a teacher, in points, with 95 % over these images.

    Args:
        ours: (N,) which test samples the student got right.
        controls: (N,) the same of the student without a teacher.

    Returns:
        `mean`, `low`, `high`; None where one of the two was not kept.
    """
    if ours is None or controls is None:
        return None
    found = crossed_variance(ours, controls)
    mean, half = 100 * found.mean, 100 * NORMAL_95 * math.sqrt(found.variance)
    return {"mean": mean, "low": mean - half, "high": mean + half}


def no_worse(metric: Metric, ours: float | None, controls: Sequence[float | None]) -> list[str]:
    """A warning where a student without a teacher is as good as the chosen one by validation, or better.

    Args:
        metric: of the figures.
        ours: of the chosen student; None: there is no validation.
        controls: of the students without a teacher.
    """
    known = [metric.sign * score for score in controls if score is not None and math.isfinite(score)]
    if ours is None or not known or max(known) < metric.sign * ours:
        return []
    best = metric.sign * max(known)
    return [
        f"a student trained without a teacher is as good or better ({best:.1f}{metric.unit} on validation, the kept "
        f"one {ours:.1f}{metric.unit}): the teacher did not help here; tosmooth export STUDY control takes that student"
    ]


def left_out(context: Context) -> list[str]:
    """A warning about images that could not be read, where there were any and `data.on_error: skip` lets them be."""
    path = context.directory.unreadable
    count = len(read_unreadable(path))
    images = "image" if count == 1 else "images"
    return [f"{count} {images} could not be read and were left out: {path}"] if count else []


def following(call: Call, context: Context) -> str | None:
    """The command that makes the whole study of this folder; None where there can be none."""
    if context.data.num_classes < FEWEST_CLASSES or context.config.teacher.outputs:
        return None
    seeds = ",".join(str(call.seed + number) for number in range(SEEDS))
    words = ["tosmooth", "study", str(context.directory.config), f"student.seeds=[{seeds}]"]
    temperatures = context.config.student.temperatures
    if len(temperatures) == 1:  # nothing to compare
        compared = sorted({*CANDIDATES, *temperatures})
        words.append(f"student.temperatures=[{','.join(f'{value:g}' for value in compared)}]")
    root = context.directory.path.parent
    words += ["-o", str(root)] if str(root) != "runs" else []
    return " ".join(quoted(word) for word in words)  # brackets, too: zsh takes them for a pattern


def origin(context: Context, teacher: Teacher) -> str:
    """How the study came by a teacher: "given", "fine-tuned" from weights that were there, "trained" from nothing."""
    section = context.model_section(teacher)
    if teacher.given:
        return "given"
    began = section.has_weights or teacher.checkpoint is not None
    return "fine-tuned" if began else "trained"


def teacher_row(context: Context, teacher: Teacher, settled: Settled, audit: dict[str, Any] | None) -> dict[str, Any]:
    """A teacher of `distill.json`.

    Args:
        context: of the study.
        teacher: of its plan.
        settled: what was known before.
        audit: in short; None where its task has none.
    """
    met = settled.temperatures[teacher.label_smoothing]
    return row_of(context, teacher) | {
        "label_smoothing": teacher.label_smoothing,
        "origin": origin(context, teacher),
        "verdict": settled.verdicts[teacher.label_smoothing],
        "temperatures": list(met.values),
        "why": met.why,
        "audit": audit,
    }


def row_of(context: Context, owner: Teacher | Cell) -> dict[str, Any]:
    """A student of `distill.json`, and what a teacher has besides: who it is, its whole record, and its weights."""
    weights = context.folder(owner) / WEIGHTS_FILE
    by_outputs = isinstance(owner, Teacher) and bool(context.config.teacher.outputs)
    name = context.config.teacher.called if by_outputs else context.model_section(owner).name
    row: dict[str, Any] = {"name": owner.name, "model": name}
    if isinstance(owner, Cell):
        columns = owner.columns
        row |= {"student": owner.name} | {key: columns[key] for key in ("teacher", "temperature", "seed")}
        row |= {"label_smoothing": owner.label_smoothing} if owner.is_control else {}
        row["learning_rate"] = context.config.student.peak_rate(owner.rate)
    row |= context.read_record(owner) or {}
    if by_outputs:
        return row | {"parameters": None, "weights": None, "megabytes": None}
    return row | {"weights": str(weights), "megabytes": round(weights.stat().st_size / 1e6, 2)}
