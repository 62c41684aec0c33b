"""Saved logits and labels of unknown origin, `.npz`, `.safetensors` or `.csv`: read in parts, running nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from tosmooth.analysis.parts import all_finite
from tosmooth.errors import DataError
from tosmooth.files import readable
from tosmooth.untrusted import reading_arrays

SUFFIXES = (".npz", ".safetensors", ".csv")
AT_ONCE = 2**20  # logits that are read at once: 4 MiB in float32
LABEL_COLUMNS = ("label", "labels", "target")


@dataclass(frozen=True)
class SavedLogits:
    """What a file holds.

    Attributes:
        classes: K names: the headings of a CSV file, else the indices.
        parts: logits (n, K) floating point, finite, and labels (n,) int64 in [0, K), in the order of the file; read
            when they are asked for, once.
    """

    classes: tuple[str, ...]
    parts: Iterator[tuple[Tensor, Tensor]]


def holds_logits(path: Path) -> bool:
    """Whether a file is one of saved logits, by its name and (safetensors) the names of its tensors."""
    if path.suffix.lower() != ".safetensors":
        return path.suffix.lower() in SUFFIXES
    try:
        with safe_open(readable(path), "pt") as file:
            return "logits" in file.keys()  # noqa: SIM118
    except (OSError, SafetensorError):
        return False  # whoever reads it as weights says what is wrong


def read_logits(path: Path) -> SavedLogits:
    """Logits and labels of a file, a part at a time: the whole may be larger than memory.

    Args:
        path: `.npz` or `.safetensors` with arrays `logits` (N, K) and `labels` (N,); or `.csv` with a heading, a column
            `label` and K columns of logits in the order of the classes.

    Raises:
        DataError: no such file, not readable, an array is missing, shapes do not fit, labels are not whole numbers or
            outside the classes, numbers are not finite, or there are none. What is wrong further on is said when the
            parts get there.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    readers = {".npz": _read_npz, ".safetensors": _read_safetensors, ".csv": _read_csv}
    if path.suffix.lower() not in readers:
        raise DataError(f"{path}: saved logits are read from {', '.join(SUFFIXES)}")
    parts = _checked(readers[path.suffix.lower()](path), path)
    logits, labels, names = next(parts)
    classes = names or tuple(str(index) for index in range(logits.shape[1]))
    return SavedLogits(classes, chain([(logits, labels)], ((logits, labels) for logits, labels, _ in parts)))


# Logits (n, K) and labels (n,) in float64, so that what is no whole number can be seen; names of the classes, if any.
_Part = tuple[Tensor, Tensor, tuple[str, ...] | None]


def _read_npz(path: Path) -> Iterator[_Part]:
    with np.load(path, allow_pickle=False) as file:
        there = {name for name in ("logits", "labels") if name in file.files}
        _all_there(there, file.files, path)
        labels = file["labels"]
        with file.zip.open("logits.npy") as member:
            shape, by_column, kind = _header(member)
            for name, dtype in (("logits", kind), ("labels", labels.dtype)):
                if dtype.kind not in "fiuO":
                    raise DataError(f"{path}: {name} hold {dtype}, must be numbers")
            whole = file["logits"] if by_column or kind.hasobject else None  # the second is refused there
            _fitting(shape, labels.shape, path)
            wide = np.float32 if kind in (np.float16, np.float32) else np.float64
            for rows in _rows_of(shape):
                if whole is not None:
                    values = whole[rows]
                else:
                    size = (rows.stop - rows.start) * shape[1]
                    content = member.read(size * kind.itemsize)
                    values = np.frombuffer(content, kind, size).reshape(-1, shape[1])
                own = torch.from_numpy(labels[rows].astype(np.float64))
                yield torch.from_numpy(values.astype(wide)), own, None


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether columns come first, and type of an array in NumPy's format, up to where its numbers begin."""
    version = np.lib.format.read_magic(member)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return read(member)


def _read_safetensors(path: Path) -> Iterator[_Part]:
    with safe_open(path, "pt") as file:
        names = list(file.keys())
        _all_there([name for name in ("logits", "labels") if name in names], names, path)
        labels, logits = file.get_tensor("labels").double(), file.get_slice("logits")
        shape = tuple(logits.get_shape())
        _fitting(shape, tuple(labels.shape), path)
    for rows in _rows_of(shape):
        with safe_open(path, "pt") as file:  # again: pages that were read of a mapped file count as memory until then
            values = file.get_slice("logits")[rows]
            yield (values.clone() if values.dtype == torch.float64 else values.float()), labels[rows], None


def _read_csv(path: Path) -> Iterator[_Part]:
    headings = pd.read_csv(path, nrows=0).columns
    named = [column for column in headings if str(column).strip().lower() in LABEL_COLUMNS]
    if len(named) != 1:
        raise DataError(
            f"{path}: the first line must name one column `label`, and K columns of logits; found "
            f"{len(named)} of that name among {len(headings)} columns"
        )
    columns = [column for column in headings if column != named[0]]
    with pd.read_csv(path, chunksize=max(1, AT_ONCE // len(headings))) as tables:
        for table in tables:
            for column in (named[0], *columns):
                if not pd.api.types.is_numeric_dtype(table[column]) or pd.api.types.is_bool_dtype(table[column]):
                    raise DataError(f"{path}: column {str(column)[:80]!r} holds something other than numbers")
            _fitting((len(table), len(columns)), (len(table),), path)
            logits = torch.tensor(table[columns].to_numpy(dtype=np.float64))
            yield logits, torch.tensor(table[named[0]].to_numpy(dtype=np.float64)), tuple(map(str, columns))


def _all_there(found: object, names: object, path: Path) -> None:
    missing = [name for name in ("logits", "labels") if name not in found]  # type: ignore[operator]
    if missing:
        there = ", ".join(sorted(map(repr, names)))[:200] or "nothing"  # type: ignore[call-overload]
        raise DataError(
            f"{path}: {' and '.join(missing)} missing; it must hold logits (N, K) and labels (N,), found {there}"
        )


def _fitting(logits: tuple[int, ...], labels: tuple[int, ...], path: Path) -> None:
    """Refuse shapes that do not fit, and no samples."""
    if len(logits) != 2 or logits[1] < 2 or len(labels) != 1 or labels[0] != logits[0]:
        raise DataError(f"{path}: logits {logits} and labels {labels} must be (N, K), K at least 2, and (N,)")
    if not labels[0]:
        raise DataError(f"{path}: holds no samples")


def _rows_of(shape: tuple[int, ...]) -> Iterator[slice]:
    """The rows of a table in parts of `AT_ONCE` numbers."""
    rows = max(1, AT_ONCE // shape[1])
    for start in range(0, shape[0], rows):
        yield slice(start, min(start + rows, shape[0]))


def _checked(parts: Iterator[_Part], path: Path) -> Iterator[_Part]:
    """The same parts, each looked at; labels are whole numbers from there on."""
    first = 0  # row of the part
    while True:
        with reading_arrays(path, SafetensorError):
            part = next(parts, None)
        if part is None:
            if not first:
                raise DataError(f"{path}: holds no samples")
            return
        logits, labels, names = part
        if not all_finite(logits):
            row = first + int((~torch.isfinite(logits)).any(1).nonzero()[0])
            raise DataError(f"{path}: logits must be finite; those of sample {row} are not")
        if not torch.isfinite(labels).all() or (labels != labels.round()).any():
            raise DataError(f"{path}: labels must be whole numbers, the indices of the classes")
        outside = ((labels < 0) | (labels >= logits.shape[1])).nonzero()
        if len(outside):
            row = int(outside[0])
            raise DataError(
                f"{path}: label {labels[row]:.0f} of sample {first + row} is outside the {logits.shape[1]} classes "
                f"(0 to {logits.shape[1] - 1})"
            )
        yield logits, labels.long(), names
        first += len(labels)
