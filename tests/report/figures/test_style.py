from __future__ import annotations

import re

import pytest

from tests.fake_study.folder import Variant, write_study
from tosmooth.report.figures import make_figures
from tosmooth.report.figures.style import CLASSES, Mode, alpha_colours, theme
from tosmooth.report.reading import StudyFiles, read_study


def _luminance(colour: str) -> float:
    """Relative luminance of WCAG 2.1."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(("mode", "background"), [("light", "#fdfdfc"), ("dark", "#141415"), ("paper", "#ffffff")])
def test_every_label_colour_is_legible(mode: Mode, background: str) -> None:
    config = theme([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], mode)
    for colour in [*config["range"]["category"], config["axis"]["labelColor"], config["legend"]["labelColor"]]:
        assert _contrast(colour, background) >= 4.5, colour


def test_alpha_zero_is_blue_and_the_first_smoothed_vermillion() -> None:
    assert alpha_colours([0.0, 0.1], "light") == ["#0072B2", "#C74E00"]
    assert alpha_colours([0.1, 0.2], "light")[0] == "#C74E00"  # keeps its colour where α = 0 is absent


def test_no_class_has_the_colour_of_an_alpha() -> None:
    for mode in ("light", "dark"):
        assert not set(CLASSES[mode]) & set(alpha_colours([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], mode))


def test_specifications_hold_no_colour_of_their_own(effect_files: StudyFiles) -> None:
    for figure in make_figures(effect_files):
        assert not re.search(r"#[0-9a-fA-F]{6}", str(figure.screen_spec())), figure.key


def test_every_static_figure_of_a_preview_says_so(tmp_path_factory: pytest.TempPathFactory) -> None:
    files = read_study(write_study(tmp_path_factory.mktemp("p") / "s", Variant(seeds=1, preview=True)))
    for figure in make_figures(files):
        spec = figure.paper_spec(theme(files.alphas, "paper"), preview=True)
        assert spec["title"]["subtitle"][0].startswith("PREVIEW"), figure.key
