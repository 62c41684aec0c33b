from __future__ import annotations

from pathlib import Path

from tests.fake_study.folder import Variant, write_study
from tosmooth.report.figures.classes import class_figure
from tosmooth.report.reading import StudyFiles, read_study


def test_title_names_the_class_that_moves_most(effect_files: StudyFiles) -> None:
    figure = class_figure(effect_files)
    assert figure is not None
    assert figure.finding == (
        "At T = 64, “T-shirt” moves most towards its similar classes (η = 0.19, α = 0.1); "
        "5 of 5 classes move more than without smoothing"
    )


def test_many_classes_are_cut_and_said_to_be(tmp_path: Path) -> None:
    variant = Variant(seeds=1, classes=tuple(f"class {i}" for i in range(40)))
    figure = class_figure(read_study(write_study(tmp_path / "s", variant)))
    assert figure is not None
    assert "The 24 classes that differ most are drawn, 16 are left out." in figure.caption
    rows = [row for layer in figure.screen_spec()["layer"] for row in layer.get("data", {}).get("values", [])]
    assert len({row["class"] for row in rows if row}) == 24


def test_classes_of_the_same_name_stay_apart(tmp_path: Path) -> None:
    variant = Variant(seeds=1, classes=("Coat", "Coat", "Shirt"))
    figure = class_figure(read_study(write_study(tmp_path / "s", variant)))
    assert figure is not None
    assert "“Coat (0)”" in figure.finding


def test_no_figure_for_a_single_temperature(tmp_path: Path) -> None:
    assert class_figure(read_study(write_study(tmp_path / "s", Variant(seeds=1, temperatures=(1,))))) is None
