"""The teacher of a study that is known only by its outputs: what they are, and how right they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from torch import Tensor

from tosmooth.analysis.calibration import ClassificationMetrics
from tosmooth.config.schema import StudyConfig
from tosmooth.data.base import ImageData
from tosmooth.data.teacher_outputs import GivenOutputs, digest_of, read_outputs
from tosmooth.errors import ConfigError, DataError
from tosmooth.folder.columns import OF_EVERY_PASS, column
from tosmooth.study.bench import Bench

if TYPE_CHECKING:
    from tosmooth.study.context import Context
    from tosmooth.study.plan import Teacher


def refuse_outputs(config: StudyConfig) -> None:
    """Of studies and searches, which look into their teachers.

    Raises:
        ConfigError: the teacher is known only by its outputs.
    """
    if config.teacher.outputs:
        raise ConfigError(
            [
                f"teacher.outputs: {config.teacher.called} answers no other image and has no features, which a study "
                "looks at; tosmooth distill --teacher FILE.npz learns from it"
            ]
        )


def outputs_of(bench: Bench) -> GivenOutputs:
    """The outputs that the configuration names, for the data's images.

    Raises:
        DataError: they cannot be used, or are no longer those that the study was begun with.
    """
    teacher = bench.config.teacher
    if teacher.outputs_digest not in {None, digest_of(teacher.outputs)}:
        raise DataError(
            f"{teacher.called}: the outputs are no longer those that this study was begun with; put them back, or give "
            "another name (name=…) or --output"
        )
    return read_outputs(teacher.outputs, cast(ImageData, bench.data), teacher.average)


def record_outputs(context: Context, teacher: Teacher, *, test: bool = False) -> None:
    """Write the record of the teacher: its figures on validation, and on test where that is wanted, as far as given."""
    known = context.read_record(teacher) or {"status": "given", "selection": "given"}
    if test and context.task.metric.test in known:
        return
    found = outputs_of(context)
    name, logits, split = ("test", found.test, context.data.test) if test else (
        "val", found.validation, context.data.validation
    )  # fmt: skip
    figures = {} if logits is None or not len(logits) else figures_of(logits, split.labels, name)
    context.write_record(teacher, known | figures)


def figures_of(logits: Tensor, labels: Tensor, split: str) -> dict[str, Any]:
    """Accuracy, likelihood and calibration by column of the split's name ("val" or "test").

    Args:
        logits: (N, K).
        labels: (N,) in [0, K).
        split: the name.
    """
    metrics = ClassificationMetrics(logits.shape[1])
    metrics.update(logits, labels)
    known = metrics.compute()
    return {column(split, name): known[name] for name in OF_EVERY_PASS}
