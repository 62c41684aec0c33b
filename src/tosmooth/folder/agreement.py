"""Whether a study's tables say what the records of its models say: a report shows the tables, an export the records."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from tosmooth.errors import StudyError
from tosmooth.folder.paths import StudyDirectory
from tosmooth.folder.writing import read_record
from tosmooth.untrusted import is_folder_name

CLOSE = 1e-9  # relative; a table's figures are read by a parser that may be off in the last bit
REMEDY = "start the study again with the same command, and its tables are made again"


def check_agreement(directory: StudyDirectory, teachers: pd.DataFrame, *students: pd.DataFrame) -> None:
    """Refuse tables whose figures are not those of the records.

    Args:
        directory: of the study; models without a record, as in a copy of the tables alone, are not looked at.
        teachers: `teachers.csv`.
        *students: `results.csv` and `controls.csv`.

    Raises:
        StudyError: a figure is another one, or a record is damaged.
    """
    tables = [(teachers, "teacher", directory.teachers, directory.teacher_results)]
    paths = directory.results, directory.control_results
    tables += [(table, "cell", directory.students, path) for table, path in zip(students, paths, strict=False)]
    for table, key, folder, path in tables:
        for name, column, shown, recorded in disagreements(table, key, folder):
            raise StudyError(
                f"{path} says {column} = {shown} of {name}, but its record says {recorded}; {REMEDY}. If they still "
                f"differ, delete {folder / name}, and the same command makes it again"
            )


def disagreements(table: pd.DataFrame, key: str, folder: Path) -> Iterator[tuple[str, str, Any, Any]]:
    """Name, column, figure in the table and figure in the record, of each pair that differs.

    Args:
        table: one row per model.
        key: column of the model's name.
        folder: that holds the models' folders.

    Raises:
        StudyError: a record is damaged.
    """
    rows = table.to_dict("records") if key in table else []
    for row in rows:
        name = str(row[key])
        record = read_record(folder / name) if is_folder_name(name) else None
        for column, recorded in (record or {}).items():
            shown = row.get(column)
            if _is_number(shown) and not math.isnan(shown) and not _same(shown, recorded):
                yield name, column, shown, recorded


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _same(shown: Any, recorded: Any) -> bool:
    return _is_number(recorded) and (shown == recorded or math.isclose(shown, recorded, rel_tol=CLOSE))
