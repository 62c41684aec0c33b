"""A teacher known only by its outputs: `.npz` files of logits or probabilities, and which image each row is of.

Such a teacher answers no other view of an image, so whatever learns from it sees each image in one way.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from tosmooth.data.base import ImageData, ImageSplit, origin_of
from tosmooth.data.files import FileSplit
from tosmooth.errors import DataError
from tosmooth.files import file_digest
from tosmooth.terminal import shown
from tosmooth.untrusted import reading_arrays

SUFFIX = ".npz"
KINDS = ("logits", "probabilities")
SUM_OFF = 0.01  # of a row of probabilities from 1: what half precision loses, and more
Average = Literal["probabilities", "logits"]


@dataclass(frozen=True)
class GivenOutputs:
    """What the files say of the data's images.

    Attributes:
        train: (N, K) float32, finite: logits of the training images in their order, of several files the average.
        validation: the same of validation; None where one of them has no row.
        test: the same of test.
        members: the logits of the training images, file by file.
        unused: rows of the first file that are of none of these images.
    """

    train: Tensor
    validation: Tensor | None
    test: Tensor | None
    members: tuple[Tensor, ...]
    unused: int


def digest_of(paths: Sequence[Path]) -> str:
    """SHA-256 of the files' contents, in their order.

    Raises:
        DataError: one cannot be read.
    """
    found = hashlib.sha256()
    for path in paths:
        try:
            found.update(bytes.fromhex(file_digest(path)))
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    return found.hexdigest()


def read_outputs(paths: Sequence[Path], data: ImageData, average: Average) -> GivenOutputs:
    """Read files of outputs, and find each image's row.

    Args:
        paths: `.npz` files with `logits` or `probabilities` (M, K). `names` (M,) says which image a row is of: its path
            in the data set, or the end of it that is no other image's. Without names, rows are those of the training
            images in the order of their source (where images are no files). `classes` (K,) may name the columns.
        data: whose images these are.
        average: of several files, what is averaged.

    Raises:
        DataError: a file cannot be read, rows are not finite, no probabilities, of another number of classes, or it
            cannot be told which image they are of; a training image has none, or more than one.
    """
    splits: dict[str, ImageSplit] = {"training": data.train, "validation": data.validation, "test": data.test}
    found: list[dict[str, Tensor | None]] = []
    unused = 0
    for number, path in enumerate(paths):
        logits, names = _read(path, data.classes)
        rows = _by_order(path, len(logits), splits) if names is None else _by_name(path, names, splits)
        found.append({split: None if own is None else logits[own] for split, own in rows.items()})
        if number == 0:
            unused = len(logits) - len({row for own in rows.values() if own is not None for row in own.tolist()})

    def averaged(split: str) -> Tensor | None:
        members = [one for own in found if (one := own[split]) is not None]
        return _average(members, average) if len(members) == len(found) else None

    train = averaged("training")
    assert train is not None  # else it was told
    members = tuple(own["training"] for own in found if own["training"] is not None)
    return GivenOutputs(train, averaged("validation"), averaged("test"), members, unused)


def _average(members: Sequence[Tensor], average: Average) -> Tensor:
    """(N, K): the mean of the logits, or the logarithm of the mean of the probabilities (T = 1)."""
    if len(members) == 1:
        return members[0]
    together = torch.stack(list(members))
    if average == "logits":
        return together.mean(0)
    return together.log_softmax(2).logsumexp(0) - math.log(len(members))


def _read(path: Path, classes: Sequence[str]) -> tuple[Tensor, list[str] | None]:
    """Logits (M, K) in the order of the data's classes, and the names of the rows."""
    with reading_arrays(path), np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in (*KINDS, "names", "classes") if name in file.files}
        there = list(file.files)
    kinds = [kind for kind in KINDS if kind in arrays]
    if len(kinds) != 1:
        listed = ", ".join(sorted(map(repr, there)))[:200] or "nothing"
        raise DataError(f"{path}: must hold either logits or probabilities, (N, K); found {shown(listed)}")
    (kind,) = kinds
    logits = _numbers(path, kind, arrays[kind], len(classes))
    names = None if "names" not in arrays else _texts(path, "names", arrays["names"], len(logits))
    if "classes" in arrays:
        own = _texts(path, "classes", arrays["classes"], len(classes))
        if sorted(own) != sorted(classes):
            other = next((name for name in own if name not in classes), own[0])
            raise DataError(f"{path}: classes are not the data's: {shown(repr(other[:80]))}; name those of the data")
        logits = logits[:, [own.index(name) for name in classes]]
    return logits, names


def _numbers(path: Path, kind: str, array: np.ndarray[Any, Any], count: int) -> Tensor:
    """Checked logits; of probabilities their logarithms."""
    if array.dtype.kind != "f" or array.ndim != 2 or not len(array):
        raise DataError(f"{path}: {kind} {array.dtype} {array.shape} must be floating point numbers, (N, K)")
    if array.shape[1] != count:
        raise DataError(f"{path}: {kind} of {array.shape[1]} classes, and the data have {count}; one column for each")
    wrong = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if len(wrong):
        raise DataError(f"{path}: {kind} must be finite; those of row {wrong[0]} are not ({len(wrong)} such rows)")
    values = array.astype(np.float64)
    sums = values.sum(axis=1)
    like = (values >= 0).all(axis=1) & (np.abs(sums - 1) <= SUM_OFF)
    if kind == "logits":
        if like.all():
            raise DataError(
                f"{path}: logits that are never negative and sum to 1 in every row; call them probabilities"
            )
        with np.errstate(over="ignore"):
            logits = torch.from_numpy(values.astype(np.float32))
        if not logits.isfinite().all():
            raise DataError(f"{path}: logits are beyond what single precision holds")
        return logits
    if not like.all():
        row = int(np.flatnonzero(~like)[0])
        raise DataError(
            f"{path}: probabilities of row {row} sum to {sums[row]:.4g}, the least is {values[row].min():.4g}; they "
            f"must be from 0 to 1 and sum to 1 ({int((~like).sum())} such rows)"
        )
    # What its precision has rounded to 0 is anything below the smallest number that it holds.
    smallest = max(float(np.finfo(array.dtype).smallest_subnormal), float(np.finfo(np.float32).tiny))
    return torch.from_numpy(np.log(np.where(values == 0, smallest, values)).astype(np.float32))


def _texts(path: Path, what: str, array: np.ndarray[Any, Any], count: int) -> list[str]:
    if array.dtype.kind != "U" or array.shape != (count,):
        raise DataError(f"{path}: {what} {array.dtype} {array.shape} must be texts, ({count},)")
    return [str(text) for text in array]


def _by_order(path: Path, count: int, splits: Mapping[str, ImageSplit]) -> dict[str, Tensor | None]:
    """Rows by the place of an image in its source's training split."""
    base, _ = origin_of(splits["training"])
    if isinstance(base, FileSplit):
        raise DataError(
            f"{path}: has no names, and the order of image files is nobody's; add names (N,), such as 'cat/1.jpg'"
        )
    if count != len(base):
        raise DataError(f"{path}: {count} rows without names, and the source has {len(base)} training images; one each")
    origins = {name: origin_of(split) for name, split in splits.items()}
    return {name: places if origin is base else None for name, (origin, places) in origins.items()}


def _by_name(path: Path, names: Sequence[str], splits: Mapping[str, ImageSplit]) -> dict[str, Tensor | None]:
    """Rows by the names of image files; None for a split that lacks some, which training must not."""
    base, _ = origin_of(splits["training"])
    if not isinstance(base, FileSplit):
        raise DataError(
            f"{path}: has names, but the images of this source are no files; leave them out, and give the {len(base)} "
            "training images in the order of the source"
        )
    root = base.root.as_posix().rstrip("/") + "/"
    plain = [name.replace("\\", "/").removeprefix(root).removeprefix("./") for name in names]
    repeated = [name for name, times in Counter(plain).items() if times > 1]
    if repeated:
        raise DataError(
            f"{path}: {shown(repr(repeated[0][:200]))} is there more than once ({len(repeated)} such names)"
        )
    row_of = {name: row for row, name in enumerate(plain)}
    owner: dict[int, str] = {}
    found: dict[str, Tensor | None] = {}
    for split_name, split in splits.items():
        files, places = origin_of(split)
        assert isinstance(files, FileSplit)  # as training's
        rows = torch.full((len(split),), -1, dtype=torch.int64)
        missing: list[str] = []
        for position, place in enumerate(places.tolist()):
            image = files.paths[place].relative_to(files.root).as_posix()
            own = [row_of[end] for end in _ends(image) if end in row_of]
            if len(own) > 1:
                raise DataError(f"{path}: {shown(image)} has several rows: {' and '.join(plain[row] for row in own)}")
            if not own:
                missing.append(image)
                continue
            if (other := owner.setdefault(own[0], image)) != image:
                raise DataError(
                    f"{path}: {shown(repr(plain[own[0]]))} names several images, {shown(other)} and {shown(image)}; "
                    "give the whole paths"
                )
            rows[position] = own[0]
        if missing and split_name == "training":
            raise DataError(
                f"{path}: has no row for {len(missing)} of {len(split)} training images, such as {shown(missing[0])}; "
                f"its names are like {shown(repr(plain[0][:200]))}"
            )
        found[split_name] = None if missing else rows
    return found


def _ends(name: str) -> list[str]:
    """`a/b/c` → itself, `b/c`, `c`."""
    parts = name.split("/")
    return ["/".join(parts[start:]) for start in range(len(parts))]
