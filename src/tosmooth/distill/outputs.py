"""A teacher known only by its outputs: are they of these classes, was the teacher smoothed, and which T follows.

Each file is audited by itself: the average of several teachers is none that was trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from tosmooth.analysis.smoothing_rules import Verdict
from tosmooth.audit.collecting import Collected
from tosmooth.audit.images import largest, wanted_size, with_data
from tosmooth.audit.page import HEADLINES, write_audit
from tosmooth.audit.result import Audit, Seen, conclude
from tosmooth.audit.seeing import as_right, doubt, is_poor
from tosmooth.config.schema import StudyConfig
from tosmooth.data.base import ImageData
from tosmooth.data.teacher_outputs import digest_of
from tosmooth.distill.agreement import Agreement, Confusion
from tosmooth.distill.call import Call
from tosmooth.distill.given import AUDITED_TEMPERATURES, Given, ask_about_poor, summary_of
from tosmooth.distill.settling import (
    Settled,
    long_enough,
    open_bench,
    refuse_another_teacher,
    smoothing_of,
    temperatures_for,
)
from tosmooth.errors import ConfigError, DataError
from tosmooth.folder.claim import check_usable
from tosmooth.folder.paths import GIVEN, StudyDirectory
from tosmooth.study.bench import Bench
from tosmooth.study.given_outputs import outputs_of
from tosmooth.study.progress import StudyProgress

ROWS = 10_000  # at once
POOR_WAYS = "Are rows and columns those of these images and classes? Give other outputs, or go on all the same (--yes)"


def settle_by_outputs(call: Call, start: StudyConfig, root: Path, progress: StudyProgress) -> Settled:
    """Read the outputs, look whether they are of these classes, audit them; T as the teacher's smoothing wants it.

    Args:
        call: the arguments.
        start: of `starting_config`.
        root: folder that holds the studies.
        progress: where it is shown.

    Raises:
        TosmoothError: the data, the outputs or the folder cannot be used, or the outputs do not know the data.
    """
    bench, data = open_bench(start)
    if call.sets_image_size:  # for the student alone: the teacher has looked already
        start = with_data(start, image_size=largest(wanted_size(bench.new_model(start.student.model, 0))))
    digest, expected = digest_of(start.teacher.outputs), start.teacher.outputs_digest
    if expected not in {None, digest}:
        raise ConfigError([f"teacher.outputs_digest: {expected}, but the files' is {digest}; give those files"])
    teacher = start.teacher.model_copy(update={"outputs_digest": digest})
    start = start.model_copy(update={"teacher": teacher})
    bench = Bench(start, data, bench.compute)
    bench.task.check(start, data)
    directory = StudyDirectory(root / start.name)
    check_usable(directory, 0)
    progress.stage(f"reading {teacher.called}, and auditing it on {len(data.train)} training images")
    outputs = outputs_of(bench)
    agreement = _agreement(outputs.train, data.train.labels)
    _refuse_strangers(teacher.called, agreement)
    if is_poor(agreement.accuracy, data.num_classes):
        ask_about_poor(call, teacher.called, doubt(agreement.accuracy, data.num_classes, None), POOR_WAYS)
    audits = [_audit(path, logits, data) for path, logits in zip(teacher.outputs, outputs.members, strict=True)]
    folder = (directory.state / GIVEN / str(teacher.outputs_digest)[:12]).resolve()
    write_audit(audits[0], folder)
    given = _given(folder, teacher.called, audits, start.teacher.average, agreement.accuracy)
    smoothing = smoothing_of(call, given)
    unused = f"; {outputs.unused} rows are of other images and not used" if outputs.unused else ""
    decided = [
        ("teacher", f"{given.relation}; {as_right(agreement.accuracy, data.num_classes, trained=None)}{unused}"),
        ("smoothing", smoothing.in_full),
        (
            "images",
            f"students see each in one way ({start.data.train_augmentation}), as outputs are of one: no random crops "
            "or flips",
        ),
    ]
    start = long_enough(call, start, len(data.train), decided)
    met = temperatures_for(smoothing.verdict, call.temperatures, validated=len(data.validation) > 0)
    found = {"label_smoothing": [smoothing.alpha], "smoothing": smoothing.knowledge}
    config = start.model_copy(
        update={
            "teacher": start.teacher.model_copy(update=found),
            "student": start.student.model_copy(update={"temperatures": list(met.values)}),
            "description": f"{given.relation}; its label smoothing: {smoothing.words}",
        }
    )
    refuse_another_teacher(call, config, directory)
    return Settled(config, {smoothing.alpha: smoothing.verdict}, {smoothing.alpha: met}, given, tuple(decided))


def _agreement(logits: Tensor, labels: Tensor) -> Agreement:
    found = Confusion(logits.shape[1])
    found.update(labels.numpy(), logits.argmax(1).numpy())
    return found.agreement()


def _refuse_strangers(name: str, agreement: Agreement) -> None:
    """Outputs that do not know the data are of other classes, or of other images.

    Raises:
        ConfigError: they do not.
    """
    if agreement.above_chance and not agreement.far_better:
        return
    raise ConfigError(
        [
            f"--teacher: {name} is right on {100 * agreement.accuracy:.1f} % of the training images "
            f"({100 * agreement.chance:.1f} % would be chance): its columns are classes in another order, or its rows "
            "are of other images. `classes` in the file says which class a column is, `names` which image a row is of"
        ]
    )


def _audit(path: Path, logits: Tensor, data: ImageData) -> Audit:
    collected = Collected(data.num_classes, AUDITED_TEMPERATURES)
    try:
        for start in range(0, len(logits), ROWS):
            collected.update(logits[start : start + ROWS], data.train.labels[start : start + ROWS])
        words = f"outputs for {len(logits)} training images of {data.source}"
        return conclude(collected, Seen(str(path), words, None, None, None), data.classes)
    except ValueError as error:
        raise DataError(f"{path}: {error}") from None


def _given(folder: Path, called: str, audits: Sequence[Audit], average: str, right: float) -> Given:
    """What is known of the teacher: of one file its audit, of several what their audits agree on, and how often their
    average is right."""
    first = summary_of(audits[0])
    if len(audits) == 1:
        return Given(folder / called, f"{called} is known only by its outputs", first, None)
    verdicts = [audit.smoothing.verdict for audit in audits]
    verdict: Verdict = verdicts[0] if len(set(verdicts)) == 1 else "undecided"
    alpha = sum(audit.smoothing.alpha for audit in audits) / len(audits)
    what = f"{called}: the average of {len(audits)} teachers' {average}, known only by their outputs"
    headline = HEADLINES[verdict] if verdict == "undecided" else f"All {len(audits)}: {HEADLINES[verdict]}"
    together: dict[str, Any] = {
        "verdict": verdict,
        "alpha": alpha,
        "headline": headline,
        "right": right,
        "top1": 100 * right,
    }
    if verdict == "undecided":  # what one of them says is not said of all
        together |= {"interval": [0.0, 1.0], "reasons": ["the files' teachers differ"], "advice": []}
    return Given(folder / "outputs", what, first | together, None)
