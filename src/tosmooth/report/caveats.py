"""What a reader must know before relying on a study: the advice's own caveats, and what the report sees beside them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tosmooth.advice.caveats import study_caveats
from tosmooth.folder.older import caveat_of
from tosmooth.report.reading import StudyFiles
from tosmooth.words.caveats import caveat_sentences


def caveats(files: StudyFiles) -> list[str]:
    """The caveats in words, the advice's first. One that the advice already has is not said twice."""
    given = [caveat_of(caveat) for caveat in files.advice.get("caveats") or []]
    codes = {caveat["code"] for caveat in given}
    return caveat_sentences([*given, *(own for own in _seen(files) if own["code"] not in codes)], files.wording)


def _seen(files: StudyFiles) -> Iterator[dict[str, Any]]:
    if not files.advice:
        yield {"code": "no advice"}
    yield from study_caveats(
        files.cells, files.teachers, files.diffusion, preview=files.preview,
        selection=str(files.config.get("selection")), metric=files.metric,
    )  # fmt: skip
    if len(files.unreadable):
        yield {"code": "unreadable images", "images": len(files.unreadable)}
    if 0.0 not in files.alphas:
        yield {"code": "no unsmoothed teacher"}
    known = (files.config.get("teacher") or {}).get("smoothing") != "unknown"
    if known and not any(alpha > 0 for alpha in files.alphas):
        yield {"code": "no smoothed teacher"}
    if files.similarity.get("weaker_evidence"):
        yield {"code": "weaker evidence", "source": files.similarity.get("source", "the given teacher's geometry")}
    for note in files.similarity.get("notes") or []:
        yield {"code": "note", "sentence": note}
