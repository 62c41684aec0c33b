"""From a column of labels, names or numbers, to classes."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tosmooth.errors import DataError, did_you_mean

SHOWN = 5


@dataclass(frozen=True)
class RowClasses:
    """The classes that training has, and what stands for each in a column.

    Attributes:
        names: K of them: declared ones in their order, others sorted.
        numbers: value in the column → class.
        unused: declared classes without a training image, which are left out.
    """

    names: tuple[str, ...]
    numbers: dict[Hashable, int]
    unused: tuple[str, ...] = ()

    @classmethod
    def of(cls, rows: Any, column: str, split: str) -> RowClasses:
        """The classes of a training split.

        Raises:
            DataError: a row has no label, or labels are neither names nor whole numbers.
        """
        values = values_of(rows, column, split)
        if None in values:
            raise _unlabelled(column, split, values.index(None))
        used = set(values)
        declared = _declared(rows, column)
        if declared is None:
            ordered = sorted(used)
            return cls(tuple(map(str, ordered)), {value: index for index, value in enumerate(ordered)})
        names = tuple(name for name in declared if name in used)
        numbers: dict[Hashable, int] = {name: index for index, name in enumerate(names)}
        # A split of plain numbers beside a declared one means positions in the declaration.
        numbers |= {place: numbers[name] for place, name in enumerate(declared) if name in used}
        return cls(names, numbers, tuple(name for name in declared if name not in used))

    def labels(self, rows: Any, column: str, split: str) -> np.ndarray[Any, Any]:
        """(N,) int64, the classes of a split's rows.

        Raises:
            DataError: a row has no label, or one that no training image has; names the row.
        """
        values = values_of(rows, column, split)
        try:
            return np.array([self.numbers[value] for value in values], dtype=np.int64)
        except KeyError:
            index = next(index for index, value in enumerate(values) if value not in self.numbers)
        value = values[index]
        if value is None:
            raise _unlabelled(column, split, index)
        if value in self.unused:
            reason = f"label {value!r} is of no training image"
        elif isinstance(value, int):
            reason = f"label {value} is outside the {len(self.names)} classes of training ({self._listed()})"
        else:
            reason = f"label {value!r} is not among the classes of training; {did_you_mean(str(value), self.names)}"
        raise DataError(f"row {index} of the {split} split: {reason}")

    def all_missing(self, rows: Any, column: str, split: str) -> bool:
        """Whether a split's column of labels holds none in any row: nothing, or the usual −1."""
        missing = {None} if -1 in self.numbers else {None, -1}
        return column in rows.column_names and set(values_of(rows, column, split)) <= missing

    def _listed(self) -> str:
        return ", ".join(self.names[:SHOWN]) + (", …" if len(self.names) > SHOWN else "")


def values_of(rows: Any, column: str, split: str) -> list[Any]:
    """What stands in a column: names of classes, or whole numbers; None where there is no label.

    Raises:
        DataError: something else stands there.
    """
    values, declared = list(rows[column]), _declared(rows, column)
    kinds = {type(value) for value in values} - {type(None)}
    if not kinds <= {int, str, bool}:
        found = next(value for value in values if type(value) not in {int, str, bool, type(None)})
        raise DataError(
            f"data.options.label_column: column {column!r} of the {split} split: expected names of classes or whole "
            f"numbers, found {found!r}"
        )
    if declared is None:
        return values
    wrong = next((i for i, v in enumerate(values) if v is not None and not -1 <= v < len(declared)), None)
    if wrong is not None:
        raise DataError(
            f"row {wrong} of the {split} split: label {values[wrong]} is outside the {len(declared)} declared classes"
        )
    return [None if value is None or value < 0 else declared[value] for value in values]


def _unlabelled(column: str, split: str, row: int) -> DataError:
    return DataError(f"data.options.label_column: column {column!r} of the {split} split: row {row} has no label")


def _declared(rows: Any, column: str) -> list[str] | None:
    names = getattr(rows.features[column], "names", None)
    return None if names is None else list(names)
