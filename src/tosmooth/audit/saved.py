"""The audit of saved logits: no model, no images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tosmooth.audit.collecting import Collected
from tosmooth.audit.logits_files import read_logits
from tosmooth.audit.result import Audit, Seen, conclude
from tosmooth.errors import DataError


def audit_logits(
    path: Path,
    temperatures: Sequence[float],
    *,
    training_data: bool | None = None,
    rescaled: bool | None = None,
) -> Audit:
    """Audit a teacher from its saved logits.

    Args:
        path: `.npz`, `.safetensors` or `.csv`; see `read_logits`.
        temperatures: of the table of soft targets.
        training_data: whether the teacher was trained on these samples; None: not known.
        rescaled: whether the logits were multiplied after training; None: not known.

    Raises:
        DataError: the file cannot be used, or holds probabilities.
    """
    saved = read_logits(path)
    collected = Collected(len(saved.classes), temperatures)
    try:
        for logits, labels in saved.parts:
            collected.update(logits, labels)
        words = f"logits of {collected.smoothing.count} samples"
        return conclude(collected, Seen(str(path), words, None, training_data, rescaled), saved.classes)
    except ValueError as error:
        raise DataError(f"{path}: {error}") from None
