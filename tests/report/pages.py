"""The page alone, for tests that look at its words: what draws the figures is most of a report."""

from __future__ import annotations

from pathlib import Path

from tosmooth.report.build import make_tables
from tosmooth.report.figures import make_figures
from tosmooth.report.page import render_page
from tosmooth.report.reading import read_study


def page_of(folder: Path) -> str:
    """The page of a study as HTML, without static figures and without the script."""
    files = read_study(folder)
    return render_page(files, make_figures(files), {}, make_tables(files), "", [])
