"""Saved logits and labels of unknown origin: `.npz`, `.safetensors` or `.csv`, read without running anything."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from tosmooth.errors import DataError
from tosmooth.untrusted import reading_arrays

SUFFIXES = (".npz", ".safetensors", ".csv")
LABEL_COLUMNS = ("label", "labels", "target")


@dataclass(frozen=True)
class SavedLogits:
    """What a file holds.

    Attributes:
        logits: (N, K) floating point, finite.
        labels: (N,) int64 in [0, K).
        classes: K names: the headings of a CSV file, else the indices.
    """

    logits: Tensor
    labels: Tensor
    classes: tuple[str, ...]


def holds_logits(path: Path) -> bool:
    """Whether a file is one of saved logits, by its name and (safetensors) the names of its tensors."""
    if path.suffix.lower() != ".safetensors":
        return path.suffix.lower() in SUFFIXES
    try:
        with safe_open(path, "pt") as file:
            return "logits" in file.keys()  # noqa: SIM118
    except (OSError, SafetensorError):
        return False  # whoever reads it as weights says what is wrong


def read_logits(path: Path) -> SavedLogits:
    """Logits and labels of a file.

    Args:
        path: `.npz` or `.safetensors` with arrays `logits` (N, K) and `labels` (N,); or `.csv` with a heading, a column
            `label` and K columns of logits in the order of the classes.

    Raises:
        DataError: no such file, not readable, an array is missing, shapes do not fit, labels are not whole numbers or
            outside the classes, numbers are not finite, or there are none.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    readers = {".npz": _read_npz, ".safetensors": _read_safetensors, ".csv": _read_csv}
    if path.suffix.lower() not in readers:
        raise DataError(f"{path}: saved logits are read from {', '.join(SUFFIXES)}")
    with reading_arrays(path, SafetensorError):
        logits, labels, names = readers[path.suffix.lower()](path)
    return _checked(logits, labels, names, path)


def _read_npz(path: Path) -> tuple[Tensor, Tensor, tuple[str, ...] | None]:
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in ("logits", "labels") if name in file.files}
        _all_there(arrays, file.files, path)
    for name, array in arrays.items():
        if array.dtype.kind not in "fiu":
            raise DataError(f"{path}: {name} hold {array.dtype}, must be numbers")
    logits, labels = arrays["logits"], arrays["labels"]
    kind = np.float32 if logits.dtype in (np.float16, np.float32) else np.float64
    return torch.from_numpy(logits.astype(kind)), torch.from_numpy(labels.astype(np.float64)), None


def _read_safetensors(path: Path) -> tuple[Tensor, Tensor, tuple[str, ...] | None]:
    with safe_open(path, "pt") as file:
        names = list(file.keys())
        arrays = {name: file.get_tensor(name) for name in ("logits", "labels") if name in names}
    _all_there(arrays, names, path)
    logits, labels = arrays["logits"], arrays["labels"]
    return logits if logits.dtype == torch.float64 else logits.float(), labels.double(), None


def _read_csv(path: Path) -> tuple[Tensor, Tensor, tuple[str, ...] | None]:
    table = pd.read_csv(path)
    named = [column for column in table.columns if str(column).strip().lower() in LABEL_COLUMNS]
    if len(named) != 1:
        raise DataError(
            f"{path}: the first line must name one column `label`, and K columns of logits; found "
            f"{len(named)} of that name among {len(table.columns)} columns"
        )
    columns = [column for column in table.columns if column != named[0]]
    for column in (named[0], *columns):
        if not pd.api.types.is_numeric_dtype(table[column]) or pd.api.types.is_bool_dtype(table[column]):
            raise DataError(f"{path}: column {str(column)[:80]!r} holds something other than numbers")
    logits = torch.tensor(table[columns].to_numpy(dtype=np.float64))
    return logits, torch.tensor(table[named[0]].to_numpy(dtype=np.float64)), tuple(map(str, columns))


def _all_there(found: object, names: object, path: Path) -> None:
    missing = [name for name in ("logits", "labels") if name not in found]  # type: ignore[operator]
    if missing:
        there = ", ".join(sorted(map(repr, names)))[:200] or "nothing"  # type: ignore[call-overload]
        raise DataError(
            f"{path}: {' and '.join(missing)} missing; it must hold logits (N, K) and labels (N,), found {there}"
        )


def _checked(logits: Tensor, labels: Tensor, names: tuple[str, ...] | None, path: Path) -> SavedLogits:
    """Labels come as float64, so that what is no whole number can be seen."""
    if logits.ndim != 2 or logits.shape[1] < 2 or labels.ndim != 1 or len(labels) != len(logits):
        raise DataError(
            f"{path}: logits {tuple(logits.shape)} and labels {tuple(labels.shape)} must be (N, K), K at least 2, and "
            "(N,)"
        )
    if not len(labels):
        raise DataError(f"{path}: holds no samples")
    if not torch.isfinite(logits).all():
        row = int((~torch.isfinite(logits)).any(1).nonzero()[0])
        raise DataError(f"{path}: logits must be finite; those of sample {row} are not")
    if not torch.isfinite(labels).all() or (labels != labels.round()).any():
        raise DataError(f"{path}: labels must be whole numbers, the indices of the classes")
    outside = ((labels < 0) | (labels >= logits.shape[1])).nonzero()
    if len(outside):
        row = int(outside[0])
        raise DataError(
            f"{path}: label {labels[row]:.0f} of sample {row} is outside the {logits.shape[1]} classes "
            f"(0 to {logits.shape[1] - 1})"
        )
    classes = names or tuple(str(index) for index in range(logits.shape[1]))
    return SavedLogits(logits, labels.long(), classes)
