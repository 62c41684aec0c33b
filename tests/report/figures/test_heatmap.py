from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.fake_study.folder import Variant, write_study
from tests.report.figures.test_style import _contrast
from tosmooth.report.figures import make_figures
from tosmooth.report.figures.figure import Figure
from tosmooth.report.figures.heatmap import heatmap_figures
from tosmooth.report.figures.rendering import png, svg
from tosmooth.report.figures.style import DIVERGING, HEATMAP, Mode, theme
from tosmooth.report.reading import StudyFiles, read_study

FINE = {"alphas": (0.0, 0.05, 0.1, 0.2, 0.3), "temperatures": (0.5, 1, 1.5, 2, 3, 64)}


@pytest.fixture(scope="module")
def fine(tmp_path_factory: pytest.TempPathFactory) -> StudyFiles:
    failed = tuple(f"hinton-a0.2-T2-resnet8-s{seed}" for seed in range(6))
    return read_study(write_study(tmp_path_factory.mktemp("fine") / "s", Variant(**FINE, failed=failed)))


def _rows(figure: Figure) -> pd.DataFrame:
    return pd.DataFrame(figure.screen_spec()["data"]["values"])


def test_every_cell_has_its_value_and_the_best_one_its_mark(fine: StudyFiles) -> None:
    accuracy, diffusion = heatmap_figures(fine)
    assert (accuracy.key, diffusion.key) == ("heatmap-accuracy", "heatmap-diffusion")
    rows = _rows(accuracy).set_index(["alpha", "T"])
    assert len(rows) == 5 * 6
    assert rows.loc[("0.1", "1"), "shown"] == "88.3"  # 88.0 on test, and validation is 0.3 above
    assert rows.loc[("0.05", "1.5"), "shown"] == f"{86.0 - 0.05 - 0.015 + 0.3:.1f}"
    assert rows.index[rows["best"]].tolist() == [("0.1", "1")]
    assert rows.loc[("0.2", "2"), "shown"] == "–"  # all its students failed
    assert pd.isna(rows.loc[("0.2", "2"), "value"])
    assert accuracy.finding.startswith("Validation accuracy is highest at α = 0.1, T = 1 (88.3 ± 0.2 %) and lowest")
    assert "Outlined: α = 0.1, T = 1." in accuracy.alt
    assert "α = 0.05: T = 0.5 86.2, T = 1 86.2" in accuracy.alt


def test_the_diffusion_map_is_signed_and_shows_temperatures_below_the_reference(fine: StudyFiles) -> None:
    _, diffusion = heatmap_figures(fine)
    rows = _rows(diffusion).set_index(["alpha", "T"])
    assert rows.loc[("0.1", "1"), "shown"] == "0.000"
    assert rows.loc[("0.1", "2"), "shown"] == "+0.024"  # 0.02 + 0.004 for a doubling of T
    assert rows.loc[("0.1", "0.5"), "shown"] == "−0.024"
    scale = diffusion.screen_spec()["layer"][0]["encoding"]["color"]["scale"]
    assert scale == {"domain": [-rows["value"].max(), rows["value"].max()], "range": "diverging"}
    assert "since T = 1, where it is 0 by definition" in diffusion.caption


@pytest.mark.parametrize(
    ("alphas", "temperatures"), [((0.0, 0.1), (1, 2, 3, 64)), ((0.0, 0.1, 0.2), (1, 64)), ((0.0, 0.1), (1,))]
)
def test_small_grids_have_none(tmp_path: Path, alphas: tuple[float, ...], temperatures: tuple[int, ...]) -> None:
    files = read_study(write_study(tmp_path / "s", Variant(alphas=alphas, temperatures=temperatures, seeds=2)))
    assert heatmap_figures(files) == []


def test_without_validation_the_test_split_is_shown_and_named(tmp_path: Path) -> None:
    variant = Variant(alphas=(0.0, 0.1, 0.2), temperatures=(1, 2, 3), seeds=2, validation=False)
    accuracy = heatmap_figures(read_study(write_study(tmp_path / "s", variant)))[0]
    assert accuracy.finding.startswith("Test accuracy is highest at α = 0.1, T = 1 (87.")


def test_text_is_legible_on_every_colour() -> None:
    for mode, tone in (("light", "light"), ("paper", "light"), ("dark", "dark")):
        ink = theme([0.0], mode)["style"]["map-text"]["fill"]  # type: ignore[arg-type]
        for colour in (*HEATMAP[tone], *DIVERGING[tone]):
            assert _contrast(ink, colour) >= 4.5, (mode, colour)


def test_six_alphas_keep_six_colours_and_shapes(fine: StudyFiles) -> None:
    modes: tuple[Mode, ...] = ("light", "dark")
    for mode in modes:
        assert len(set(theme([0.0, 0.05, 0.1, 0.2, 0.3, 0.5], mode)["range"]["category"])) == 6
    spec = make_figures(fine)[0].screen_spec()
    shapes = next(layer["encoding"]["shape"] for layer in spec["layer"] if "shape" in layer.get("encoding", {}))
    assert len(set(shapes["scale"]["range"])) == 5


def test_panels_of_a_fine_grid_are_few_and_hold_what_is_recommended(fine: StudyFiles) -> None:
    assert fine.shown_alphas == [0.0, 0.1, 0.3]
    assert fine.shown_temperatures == [1.0, 1.5, 3.0, 64.0]  # T = 0.5 is below the reference
    assert "has all" in next(f for f in make_figures(fine) if f.key == "projection").caption


def test_it_renders(fine: StudyFiles) -> None:
    for figure in heatmap_figures(fine):
        assert len(png(svg(figure.paper_spec(theme(fine.alphas, "paper"), preview=False)))) > 10_000
