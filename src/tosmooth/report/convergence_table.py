"""The table that says how far the students of each setting were trained."""

from __future__ import annotations

import math

from tosmooth.advice.convergence import ALIKE, convergence
from tosmooth.report.reading import StudyFiles
from tosmooth.report.results_tables import number_columns
from tosmooth.report.tables import Column, Table, text_column
from tosmooth.words.numbers import MISSING, temperature_label


def convergence_table(files: StudyFiles) -> Table | None:
    """How far the students of each setting came, and against T₀; None of a study that does not say."""
    rows = convergence(files.cells)
    if rows.empty:
        return None
    reference = temperature_label(files.reference_temperature)
    known = [not math.isnan(ratio) for ratio in rows.way_to_reference]
    alike = ["yes" if own else "no" for own in rows.alike]
    columns = [
        *(text_column(key, list(rows[key])) for key in ("objective", "student") if rows[key].nunique() > 1),
        Column("α", [f"{a:g}" for a in rows.label_smoothing], list(rows.label_smoothing)),
        Column("T", [f"{t:g}" for t in rows.temperature], list(rows.temperature)),
        *number_columns(
            rows,
            [
                ("gradient", "first gradient", 3, 1),
                ("gradient_to_reference", f"first gradient / {reference}", 2, 1),
                ("way", "way gone, %", 1, 100),
                ("way_to_reference", f"way gone / {reference}", 2, 1),
                ("last_gain", f"last epoch, {files.metric.judged_by.words} (points)", 1, 1),
            ],
        ),
        text_column("trained alike", [text if own else MISSING for own, text in zip(known, alike, strict=True)]),
    ]
    caption = (
        "How far the students of each setting were trained, on average. First gradient: norm of the loss’s gradient at "
        "a sample’s logits, before any step. Way gone: 1 − (loss of the last epoch) / (loss before any step); all "
        "of it is a student that answers as its teacher does. Trained alike: no further than "
        f"{100 * (1 - ALIKE):.0f} % from the way gone at {reference}, same α."
    )
    return Table("convergence", caption, columns, rows, sortable=True)
