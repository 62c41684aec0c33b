"""What a model took each sample of validation and of test for, kept beside its weights, and read again.

One file for both splits: `<split>.correct` (N,) int8, 1 = right, 0 = wrong, −1 = could not be read; `<split>.answers`
(2, N) int32, the output that was most likely, and the label. Both by position in the split.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from tosmooth.errors import StudyError
from tosmooth.files import write_bytes
from tosmooth.folder.paths import JUDGED_FILE
from tosmooth.folder.sums import check_model_file

if TYPE_CHECKING:  # reports are written without PyTorch
    from torch import Tensor

Arrays = dict[str, NDArray[Any]]
Split = Literal["val", "test"]
REMEDY = "delete it, and it is left out"


def keep_judged(folder: Path, split: Split, correct: Tensor, answers: Tensor) -> None:
    """Write what a model took each sample of a split for; what is there of the other split stays.

    Args:
        folder: of the model.
        split: "val" or "test".
        correct: (N,) int8.
        answers: (2, N) int32.

    Raises:
        StudyError: what is there of the other split is damaged.
    """
    _write(folder, lambda there: there | {f"{split}.correct": correct.numpy(), f"{split}.answers": answers.numpy()})


def forget_judged(folder: Path, split: Split) -> None:
    """Take back what is there of a split; what is there of the other one stays.

    Raises:
        StudyError: the file is damaged.
    """
    _write(folder, lambda there: {name: own for name, own in there.items() if not name.startswith(f"{split}.")})


def read_correct(folder: Path, split: Split) -> NDArray[np.int8] | None:
    """(N,): 1 = right, 0 = wrong, −1 = could not be read; None where it was not kept, as by earlier versions on test.

    Args:
        folder: of the teacher or student.
        split: "val" or "test".

    Raises:
        StudyError: the file is damaged.
    """
    return _read(folder).get(f"{split}.correct")


def read_answers(folder: Path, split: Split) -> NDArray[np.int32] | None:
    """(2, N): the output that was most likely, and the label, −1 where a sample could not be read; None where it was
    not kept.

    Raises:
        StudyError: the file is damaged.
    """
    return _read(folder).get(f"{split}.answers")


def _write(folder: Path, changed: Callable[[Arrays], Arrays]) -> None:
    def content() -> bytes:  # by itself: Windows replaces no file from which tensors are still mapped
        arrays = changed(_read(folder))
        return save({name: np.ascontiguousarray(own) for name, own in arrays.items()}) if arrays else b""

    if found := content():
        write_bytes(folder / JUDGED_FILE, found)
    else:
        (folder / JUDGED_FILE).unlink(missing_ok=True)


def _read(folder: Path) -> Arrays:
    file = folder / JUDGED_FILE
    check_model_file(file)
    try:
        return load_file(file) if file.is_file() else {}
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:  # a type that NumPy lacks, too
        raise StudyError(f"{file} is damaged ({error}); {REMEDY}") from None
