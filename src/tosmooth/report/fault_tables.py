"""What went wrong in a study, and was left out of its figures: students that failed, images that could not be read."""

from __future__ import annotations

import pandas as pd

from tosmooth.report.reading import StudyFiles
from tosmooth.report.tables import Column, Table, text_column

MOST_IMAGES = 50  # of the list that the page shows; the table's CSV file has all


def failures_table(files: StudyFiles) -> Table | None:
    """Every student that failed, with its reason."""
    failed = files.failed
    if failed.empty:
        return None
    columns = [
        Column("α", [f"{a:g}" for a in failed["label_smoothing"]]),
        Column("T", [f"{t:g}" for t in failed["temperature"]]),
        Column("seed", [f"{s:g}" for s in failed["seed"]]),
        text_column("reason", [_reason(*pair) for pair in zip(failed["cell"], failed["failure"], strict=True)]),
    ]
    wanted = ["cell", "label_smoothing", "temperature", "seed", "failure"]
    return Table("failures", "Students that failed, and why; no figure counts them.", columns, failed[wanted])


def _reason(cell: str, failure: str) -> str:
    """Without the cell's name, which the other columns say."""
    return failure.removeprefix(f"{cell}: ")


def unreadable_table(files: StudyFiles) -> Table | None:
    """The images that were left out because they could not be read."""
    images = [str(image) for image in files.unreadable]
    if not images:
        return None
    more = f" (the first {MOST_IMAGES} of {len(images)})" if len(images) > MOST_IMAGES else ""
    caption = f"Images that could not be read and were left out{more}."
    shown = text_column("image", images[:MOST_IMAGES])
    return Table("unreadable", caption, [shown], pd.DataFrame({"image": images}))
