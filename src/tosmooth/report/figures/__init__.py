"""The report's figures. One drawing serves the interactive chart, the PNG and the PDF."""

from __future__ import annotations

from tosmooth.report.figures.accuracy import accuracy_figure
from tosmooth.report.figures.calibration import error_figure, reliability_figure
from tosmooth.report.figures.classes import class_figure
from tosmooth.report.figures.diffusion import diffusion_figure
from tosmooth.report.figures.figure import Figure
from tosmooth.report.figures.heatmap import heatmap_figures
from tosmooth.report.figures.learning_curves import learning_curves_figure
from tosmooth.report.figures.projection import projection_figure
from tosmooth.report.figures.separation import separation_figure
from tosmooth.report.reading import StudyFiles

__all__ = ["Figure", "make_figures"]


def make_figures(files: StudyFiles) -> list[Figure]:
    """Every figure the study has numbers for, in the report's order; the first setting's accuracy comes first."""
    made = [accuracy_figure(files, setting, main=position == 0) for position, setting in enumerate(files.settings)]
    made += [diffusion_figure(files, setting) for setting in files.diffusion_keys]
    made += [separation_figure(files), projection_figure(files), class_figure(files), *heatmap_figures(files)]
    made += [error_figure(files), reliability_figure(files), learning_curves_figure(files)]
    return [figure for figure in made if figure is not None]
