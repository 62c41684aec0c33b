"""Builds a study's report: `report.html`, `figures/` and `tables/`, from the study's files alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tosmooth.errors import DrawingError, StudyError, TosmoothError
from tosmooth.folder.paths import FIGURES, REPORT_FILE, REPORT_SUMS_FILE, TABLES
from tosmooth.folder.strange import study_at
from tosmooth.folder.sums import remove_kept, write_kept
from tosmooth.report.confusions_table import confusions_table
from tosmooth.report.convergence_table import convergence_table
from tosmooth.report.costs_table import costs_table
from tosmooth.report.errors_table import errors_table
from tosmooth.report.evidence_tables import (
    class_table,
    comparisons_table,
    diffusion_table,
    sensitivity_table,
    similarity_table,
)
from tosmooth.report.figures import make_figures
from tosmooth.report.figures.figure import PREVIEW_NOTE
from tosmooth.report.figures.rendering import inline_image, pdf, png, svg, vega_javascript
from tosmooth.report.figures.style import theme
from tosmooth.report.learning_rates_table import learning_rates_table
from tosmooth.report.page import render_page
from tosmooth.report.reading import StudyFiles, read_study
from tosmooth.report.results_tables import (
    accuracy_table,
    cells_table,
    failures_table,
    published_tables,
    teachers_table,
    unreadable_table,
)
from tosmooth.report.smoothing_view_tables import calibration_table, objectives_table, views_table
from tosmooth.report.tables import Table
from tosmooth.report.translations import translations_table
from tosmooth.terminal import shown
from tosmooth.words.caveats import caveat_sentences


def build_report(study_dir: Path, note: Callable[[str], None] = lambda text: None) -> Path:
    """Write the report of a study, replacing an earlier one.

    What the study does not have (a validation split, several seeds, an unsmoothed teacher, finished cells, advice) is
    left out or said, never filled in. A figure that cannot be drawn is a note, here and on the page.

    Args:
        study_dir: the study's folder; only its files are read.
        note: told what could not be drawn.

    Returns:
        The path of `report.html`.

    Raises:
        StudyError: the folder is no study, one of its files is damaged, or the report would be written through a link
            out of it. Nothing is written then.
    """
    path = Path(study_dir)
    directory = study_at(path, written=True)
    files = read_study(path)
    try:
        contents, lost = _contents(files)
    except (TosmoothError, OSError):
        raise
    except Exception as error:  # files by hand, of a stranger, or of another version may hold anything
        raise StudyError(
            f"{path}: no report can be made of it, one of its files holds what no study writes "
            f"({type(error).__name__}: {' '.join(str(error).split())[:200]})"
        ) from error
    sums = directory.state / REPORT_SUMS_FILE
    write_kept(path, contents, sums)
    for caveat in lost:
        for name in caveat.get("files", ()):  # an earlier report's, which show other numbers
            remove_kept(path, name, sums)
    for sentence in caveat_sentences(lost, files.wording):
        note(sentence)
    return path / REPORT_FILE


def _contents(files: StudyFiles) -> tuple[dict[str, bytes], list[dict[str, Any]]]:
    """Every file of the report by its path in the study, the page last, and caveats on what could not be drawn.

    Nothing is written before all are made.
    """
    figures, tables = make_figures(files), make_tables(files)
    paper_theme = theme(files.alphas, "paper")
    contents, images, script = {}, {}, ""
    missing: dict[str, list[str]] = {}
    for figure in figures:
        image, page = (f"{FIGURES}/{figure.key}.{ending}" for ending in ("png", "pdf"))
        try:
            drawing = svg(figure.paper_spec(paper_theme, preview=files.preview))
            contents[image] = png(drawing)
            images[figure.key] = inline_image(drawing, contents[image])
            contents[page] = pdf(drawing)
        except DrawingError as error:
            missing.setdefault(shown(str(error)), []).extend({image, page} - contents.keys())
    lost = [{"code": "not drawn", "files": sorted(names), "reason": reason} for reason, names in missing.items()]
    try:
        script = vega_javascript()
    except DrawingError as error:
        lost.append({"code": "charts stand still", "reason": shown(str(error))})
    for table in tables:
        contents[f"{TABLES}/{table.key}.csv"] = table.csv().encode()
        contents[f"{TABLES}/{table.key}.tex"] = table.latex(PREVIEW_NOTE if files.preview else "").encode()
    contents[REPORT_FILE] = render_page(files, figures, images, tables, script, lost).encode()
    return contents, lost


def make_tables(files: StudyFiles) -> list[Table]:
    """Every table the study has numbers for."""
    made = [accuracy_table(files, setting, main=position == 0) for position, setting in enumerate(files.settings)]
    made += [confusions_table(files), learning_rates_table(files), convergence_table(files), comparisons_table(files)]
    made += [diffusion_table(files, setting) for setting in files.diffusion_keys]
    made += [errors_table(files), costs_table(files), class_table(files), sensitivity_table(files)]
    made += [views_table(files), calibration_table(files), objectives_table(files), similarity_table(files)]
    made += [teachers_table(files), cells_table(files), *published_tables(files)]
    made += [translations_table(files), failures_table(files), unreadable_table(files)]
    return [table for table in made if table is not None]
