"""Rows of a large tensor, so many at once that what is made of them in float64 stays small."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

AT_ONCE = {"cpu": 2**17}  # numbers: 1 MiB in float64, which a processor's cache holds, and no page faults
AT_ONCE_ELSEWHERE = 2**24  # on a device, which wants few and large calls


def in_parts(values: Tensor, *others: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Values (N, K), K at least 1, and what belongs to their rows, (N, …), in parts of (n, …), in order.

    A view each, nothing is copied.
    """
    rows = max(1, AT_ONCE.get(values.device.type, AT_ONCE_ELSEWHERE) // values.shape[1])
    for start in range(0, len(values), rows):
        yield tuple(part[start : start + rows] for part in (values, *others))


def all_finite(values: Tensor) -> bool:
    """Whether all numbers, at least one, are finite: `torch.isfinite(values).all()`, without tensors as large."""
    return bool(torch.stack(torch.aminmax(values)).isfinite().all())  # NaN is both the least and the largest
