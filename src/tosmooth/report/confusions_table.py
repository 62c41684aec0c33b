"""The table of confusions: which classes the student that is kept takes for one another most often."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tosmooth.folder.judged import Split, read_answers
from tosmooth.folder.paths import StudyDirectory
from tosmooth.report.reading import StudyFiles
from tosmooth.report.tables import Column, Table, text_column
from tosmooth.untrusted import is_folder_name
from tosmooth.words.numbers import count_of, fixed

PAIRS = 8  # at most
SPLITS: dict[Split, str] = {"test": "test", "val": "validation"}  # the first whose answers were kept is shown


def confusions_table(files: StudyFiles) -> Table | None:
    """The largest pairs of a class and what it is taken for, by the student that `tosmooth export` takes.

    Returns:
        None without advice, of a task whose metric does not count right samples, where the student's answers were not
        kept, and where none is wrong.

    Raises:
        StudyError: the file of its answers is damaged.
    """
    kept, classes = files.kept_student, [str(name) for name in files.similarity.get("classes", [])]
    if kept is None or not classes or not files.metric.counts_right or not is_folder_name(str(kept["cell"])):
        return None
    folder = StudyDirectory(files.path).student(str(kept["cell"]))
    found = ((words, read_answers(folder, split)) for split, words in SPLITS.items())
    split, answers = next(((words, own) for words, own in found if own is not None), ("", None))
    if answers is None:
        return None
    predicted, true = answers.astype(np.int64)
    known = (true >= 0) & (true < len(classes)) & (predicted >= 0) & (predicted < len(classes))
    table = np.zeros((len(classes), len(classes)), dtype=np.int64)  # (K, K): true, predicted
    np.add.at(table, (true[known], predicted[known]), 1)
    of_class = table.sum(axis=1)
    np.fill_diagonal(table, 0)
    largest = np.argsort(-table, axis=None, kind="stable")[:PAIRS]  # of equals the first, so that it is always the same
    pairs = [(int(a), int(b)) for a, b in zip(*np.unravel_index(largest, table.shape), strict=True) if table[a, b]]
    if not pairs:
        return None
    rows = pd.DataFrame(
        {
            "class_name": classes[a],
            "taken_for": classes[b],
            "count": int(table[a, b]),
            "share": 100 * table[a, b] / of_class[a],
        }
        for a, b in pairs
    )
    samples = files.metric.samples
    columns = [
        text_column("class", list(rows["class_name"])),
        text_column("taken for", list(rows["taken_for"])),
        Column(samples, [str(count) for count in rows["count"]], list(rows["count"])),
        Column("share, %", [fixed(share, 1) for share in rows["share"]], list(rows["share"])),
    ]
    wrong = int(table.sum())
    caption = (
        f"What the student to keep ({kept['cell']}) takes for something else, {split} split: the "
        f"{count_of(len(pairs), 'largest pair')} of a class and what it is taken for, of {wrong:,} wrong answers on "
        f"{int(known.sum()):,} {samples}. Share: in percent of the class’s {samples}."
    )
    return Table("confusions", caption, columns, rows, sortable=True)
