"""Validation figures of a model, epoch by epoch, as training leaves them in `metrics.jsonl`."""

from __future__ import annotations

import math
from pathlib import Path

from tosmooth.errors import StudyError
from tosmooth.folder.sums import check_model_file
from tosmooth.untrusted import UnreadableError, read_json

LARGEST_FILE = 50_000_000  # bytes; an epoch takes some 200


def read_curve(path: Path, remedy: str, column: str) -> list[float]:
    """A validation figure after each epoch, from epoch 1 on.

    Args:
        path: of a student's `metrics.jsonl`.
        remedy: what a person can do where it cannot be used.
        column: of the figure.

    Raises:
        StudyError: it is missing or damaged, an epoch is missing, or its figure is not a number.
    """
    check_model_file(path)
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise StudyError(f"{path} is larger than {LARGEST_FILE / 1e6:g} MB; {remedy}")
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise StudyError(f"{path} cannot be read: {error.strerror or error}; {remedy}") from None
    except UnicodeDecodeError:
        raise StudyError(f"{path} is damaged; {remedy}") from None
    curve: list[float] = []
    for number, line in enumerate(lines, 1):
        try:
            record = read_json(line)
        except UnreadableError:
            record = None
        if not isinstance(record, dict) or record.get("epoch") != number:
            raise StudyError(f"{path} is damaged in line {number}; {remedy}")
        value = record.get(column)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise StudyError(f"{path} has no {column} for epoch {number}; {remedy}")
        curve.append(float(value))
    return curve
