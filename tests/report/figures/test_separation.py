from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.fake_study.folder import write_study
from tosmooth.report.figures.separation import separation_figure
from tosmooth.report.figures.style import theme
from tosmooth.report.reading import StudyFiles, read_study


def files_with(folder: Path, change: float, noise: float = 0.05, seeds: int | None = None) -> StudyFiles:
    """A study whose students of the smoothed teacher change their d′ to similar classes so at the highest T."""
    path = write_study(folder) / "results.csv"
    table = pd.read_csv(path)
    if seeds is not None:
        table = table[table.seed < seeds]
    raised = (table.label_smoothing > 0) & (table.temperature == 64)
    table["diffusion/d_prime_s1"] = 3 + raised * (change + noise * (table.seed - table.seed.mean()))
    table["diffusion/d_prime_s2"] = 5.0
    table.to_csv(path, index=False)
    return read_study(path.parent)


@pytest.mark.parametrize(
    ("change", "noise", "words"),
    [
        (-0.8, 0.05, "Similar classes get harder to tell apart from T = 1 to T = 64 (α = 0.1): d′ −0.8, 95 %"),
        (0.8, 0.05, "Similar classes get easier to tell apart from T = 1 to T = 64 (α = 0.1): d′ 0.8, 95 %"),
        (-0.1, 1.0, "That similar classes get harder to tell apart from T = 1 to T = 64 (α = 0.1) is not shown: d′"),
    ],
)
def test_its_title_claims_what_the_interval_shows(tmp_path: Path, change: float, noise: float, words: str):
    figure = separation_figure(files_with(tmp_path / "s", change, noise))
    assert figure is not None
    assert figure.finding.replace("+", "").startswith(words)
    assert "α = 0.1, similar: T = 1 3.0" in figure.alt
    spec = str(figure.paper_spec(theme([0.0, 0.1], "paper"), preview=False))
    assert "α = 0, dissimilar" in spec


def test_one_seed_claims_nothing(tmp_path: Path):
    figure = separation_figure(files_with(tmp_path / "s", -0.8, seeds=1))
    assert figure is not None
    assert figure.finding.startswith("One seed: d′ to similar classes changes by")
    assert "no interval" in figure.caption


def test_a_study_that_did_not_measure_it_has_none(effect_files: StudyFiles):
    assert separation_figure(effect_files) is None
