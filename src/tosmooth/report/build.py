"""Builds a study's report: `report.html`, `figures/` and `tables/`, from the study's files alone."""

from __future__ import annotations

from pathlib import Path

from tosmooth.files import write_bytes
from tosmooth.report.evidence_tables import class_table, comparisons_table, diffusion_table, sensitivity_table
from tosmooth.report.figures import make_figures
from tosmooth.report.figures.figure import PREVIEW_NOTE
from tosmooth.report.figures.rendering import inline_image, pdf, png
from tosmooth.report.figures.style import theme
from tosmooth.report.page import render_page
from tosmooth.report.reading import StudyFiles, read_study
from tosmooth.report.results_tables import accuracy_table, cells_table, published_tables, teachers_table
from tosmooth.report.tables import Table


def build_report(study_dir: Path) -> Path:
    """Write the report of a study, replacing an earlier one.

    What the study does not have (a validation split, several seeds, an unsmoothed teacher, finished cells, advice) is
    left out or said, never filled in.

    Args:
        study_dir: the study's folder; only its files are read.

    Returns:
        The path of `report.html`.

    Raises:
        StudyError: the folder is no study, or one of its files is damaged.
    """
    files = read_study(Path(study_dir))
    figures, tables = make_figures(files), make_tables(files)
    paper_theme = theme(files.alphas, "paper")
    images = {}
    for figure in figures:
        spec = figure.paper_spec(paper_theme, preview=files.preview)
        image = png(spec)
        write_bytes(files.path / "figures" / f"{figure.key}.png", image)
        write_bytes(files.path / "figures" / f"{figure.key}.pdf", pdf(spec))
        images[figure.key] = inline_image(spec, image)
    for table in tables:
        write_bytes(files.path / "tables" / f"{table.key}.csv", table.csv().encode())
        write_bytes(
            files.path / "tables" / f"{table.key}.tex", table.latex(PREVIEW_NOTE if files.preview else "").encode()
        )
    report = files.path / "report.html"
    write_bytes(report, render_page(files, figures, images, tables).encode())
    return report


def make_tables(files: StudyFiles) -> list[Table]:
    """Every table the study has numbers for."""
    made = [accuracy_table(files, setting, main=position == 0) for position, setting in enumerate(files.settings)]
    made += [comparisons_table(files), diffusion_table(files), class_table(files), sensitivity_table(files)]
    made += [teachers_table(files), cells_table(files), *published_tables()]
    return [table for table in made if table is not None]
