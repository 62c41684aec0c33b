"""A study as programs read it: its tables, its advice and its figures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tosmooth.errors import StudyError
from tosmooth.folder.paths import ADVICE_FILE, DIFFUSION_FILE, VERDICT_FILE
from tosmooth.folder.reading import read_config, read_mapping, read_table
from tosmooth.folder.strange import study_at


@dataclass(frozen=True)
class StudyResults:
    """A finished (or running) study, read from disk.

    Attributes:
        path: the study's folder.
        config: the resolved configuration, as a nested mapping.
        cells: one row per student; columns as in `results.csv`.
        controls: one row per student without a teacher, with the columns of `cells` that it can have: its
            `label_smoothing` is that of its own labels, `temperature` and `teacher` are empty.
        teachers: one row per teacher.
        diffusion: η per cell, split, normalisation and debiasing; empty until the analysis has run.
        advice: the frozen advice; None until given.
        verdict: what test says of the advice, as facts; None until the test split was read.
        figures: the static figures, by file name.
    """

    path: Path
    config: dict[str, Any]
    cells: pd.DataFrame
    controls: pd.DataFrame
    teachers: pd.DataFrame
    diffusion: pd.DataFrame
    advice: dict[str, Any] | None
    verdict: dict[str, Any] | None
    figures: dict[str, Path]


def load_study(path: str | Path) -> StudyResults:
    """Read a study's results from its folder.

    Raises:
        StudyError: the folder is not a study, has no results yet, or one of its files is damaged.
    """
    directory = study_at(path)
    if not directory.results.is_file():
        raise StudyError(f"{path} has no results yet; run the study again with the same command to go on")

    return StudyResults(
        path=directory.path,
        config=read_config(directory.config),
        cells=read_table(directory.results),
        controls=read_table(directory.control_results),
        teachers=read_table(directory.teacher_results),
        diffusion=read_table(directory.analysis / DIFFUSION_FILE),
        advice=read_mapping(directory.analysis / ADVICE_FILE) or None,
        verdict=read_mapping(directory.analysis / VERDICT_FILE) or None,
        figures={file.name: file for file in sorted(directory.figures.glob("*.p*"))},
    )
