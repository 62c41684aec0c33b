"""The mean of several checkpoints of one training run, often better than the last of them (fairseq's recipe)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from tosmooth.errors import ModelError
from tosmooth.models.checkpoint import read_checkpoint


def average_weights(paths: Sequence[Path]) -> dict[str, Tensor]:
    """Mean of weights files, tensor by tensor.

    Files are read one at a time, so that memory holds one of them and the sums, however many there are.

    Args:
        paths: files that `save_weights` wrote of one model, the newest last.

    Returns:
        By name: the mean, summed in float64 and rounded once to the type in the files; of whole numbers (counters),
        what the last file holds.

    Raises:
        ModelError: no file, one that cannot be read, or tensors whose names, shapes or types differ from the first's.
    """
    if not paths:
        raise ModelError("average_weights: there is no file to average")
    first = read_checkpoint(Path(paths[0])).largest
    result = {name: tensor.double() if tensor.is_floating_point() else tensor for name, tensor in first.items()}
    for path in paths[1:]:
        state = read_checkpoint(Path(path)).largest
        _check_same(first, state, Path(paths[0]), Path(path))
        for name, tensor in state.items():
            if tensor.is_floating_point():
                result[name] += tensor.double()
            else:
                result[name] = tensor
    return {
        name: (tensor / len(paths)).to(first[name].dtype) if first[name].is_floating_point() else tensor
        for name, tensor in result.items()
    }


def _check_same(first: dict[str, Tensor], other: dict[str, Tensor], first_path: Path, path: Path) -> None:
    if lone := sorted(set(first) ^ set(other)):
        holder = first_path if lone[0] in first else path
        raise ModelError(
            f"{path}: cannot be averaged with {first_path}: {len(lone)} tensors are in one of them only, such as "
            f"{lone[0]!r} in {holder}"
        )
    for name, tensor in other.items():
        there = first[name]
        if tensor.shape != there.shape or tensor.dtype != there.dtype:
            kinds = f"{_kind(tensor)} here and {_kind(there)} there"
            raise ModelError(f"{path}: cannot be averaged with {first_path}: {name!r} is {kinds}")


def _kind(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} of {str(tensor.dtype).removeprefix('torch.')}"
