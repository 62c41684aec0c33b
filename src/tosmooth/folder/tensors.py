"""Tensors that a study keeps beside its models, read again."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from tosmooth.errors import StudyError


def read_tensors(path: Path, remedy: str) -> dict[str, Tensor]:
    """The tensors of a file, by name, on the CPU.

    Args:
        path: the file.
        remedy: what a person can do where it is missing or damaged.

    Raises:
        StudyError: it is.
    """
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except FileNotFoundError:
        raise StudyError(f"{path} is missing; {remedy}") from None
    except (OSError, SafetensorError) as error:
        raise StudyError(f"{path} is damaged ({error}); {remedy}") from None
    return tensors
