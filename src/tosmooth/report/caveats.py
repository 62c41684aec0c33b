"""What a reader must know before relying on a study: the advice's own caveats, and what the report sees beside them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tosmooth.report.reading import StudyFiles
from tosmooth.words.numbers import count_of

SIGN_FLIP_SEEDS = 6  # 2 / 2**6 = 0.03 is the first exact two-sided p below 0.05


def caveats(files: StudyFiles) -> list[str]:
    """The caveats, the advice's first. One that the advice already speaks of is not said twice."""
    given = [str(text) for text in files.advice.get("caveats") or []]
    return given + [
        text for topic, text in _seen(files) if not any(re.search(topic, other, re.IGNORECASE) for other in given)
    ]


def _seen(files: StudyFiles) -> Iterator[tuple[str, str]]:
    """Pairs of a pattern that says what the caveat is about, and its text."""
    if files.preview:
        yield (
            r"preview",
            f"Preview: few {files.metric.samples}, few epochs, few seeds. Run the full study before you decide.",
        )
    if not files.advice:
        yield r"no advice", "No advice was given yet: the study has not come to its end."
    if len(files.unfinished):
        text = f"{len(files.unfinished)} of {count_of(len(files.cells), 'student')} did not finish and are left out."
        yield r"did not finish", text
    if len(files.unreadable):
        yield r"could not be read", f"{count_of(len(files.unreadable), 'image')} could not be read and were left out."
    seeds, unit = files.done[files.unit].nunique(), files.unit_word
    if seeds == 1:
        yield r"\bseed", f"One {unit}: nothing here can be told from chance. Train at least three, better six."
    elif 1 < seeds < SIGN_FLIP_SEEDS:
        yield (
            r"\bseed",
            f"{seeds} {unit}s: the exact sign-flip test cannot reach p < 0.05 with fewer than {SIGN_FLIP_SEEDS}.",
        )
    if 0.0 not in files.alphas:
        yield (
            r"(no|without an) unsmoothed teacher",
            "There is no unsmoothed teacher (α = 0) in this study: what smoothing itself does cannot be told.",
        )
    known = (files.config.get("teacher") or {}).get("smoothing") != "unknown"
    if known and not any(alpha > 0 for alpha in files.alphas):
        yield r"no smoothed teacher", "There is no smoothed teacher (α > 0) in this study: smoothing cannot be judged."
    if files.config.get("selection") == "best_on_test":
        yield (
            r"test split",
            "Epochs were chosen on the test split, as the paper's scripts do: the test figures are optimistic.",
        )
    if files.metric.val not in files.cells or files.cells[files.metric.val].isna().all():
        yield r"validation split|test split", "There is no validation split: nothing was selected on data of its own."
    if files.similarity.get("weaker_evidence"):
        source = files.similarity.get("source", "the given teacher's geometry")
        yield (
            r"weaker evidence",
            f"Similar classes come from the {source}, not from an unsmoothed teacher: weaker evidence.",
        )
    for note in files.similarity.get("notes") or []:
        yield re.escape(str(note)), str(note)
    if "reliable" in files.diffusion and not files.diffusion["reliable"].astype(bool).all():
        yield r"20 samples", "Some classes have fewer than 20 samples on a split: η is unreliable there."
    if "label_smoothing" in files.teachers and files.teachers.groupby("label_smoothing").size().max() == 1:
        yield (
            r"one teacher per",
            "One teacher per α: the conclusion holds for these teachers, not for smoothing in general.",
        )
