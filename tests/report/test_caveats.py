from __future__ import annotations

from pathlib import Path

import pytest

from tests.fake_study.folder import Variant, write_study
from tosmooth.report.caveats import caveats
from tosmooth.report.reading import StudyFiles, read_study


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        (Variant(seeds=1), "One seed: nothing here can be told from chance"),
        (Variant(seeds=3), "3 seeds: the exact sign-flip test cannot reach p < 0.05 with fewer than 6"),
        (Variant(seeds=2, alphas=(0.1, 0.2)), "no unsmoothed teacher"),
        (Variant(seeds=2, alphas=(0.1,)), "weaker evidence"),
        (Variant(seeds=2, alphas=(0.0,)), "no smoothed teacher"),
        (Variant(seeds=2, validation=False), "no validation split"),
        (Variant(seeds=2, preview=True), "Run the full study before you decide"),
        (Variant(seeds=2, failed=("hinton-a0-T1-resnet8-s0",)), "1 of 16 students did not finish"),
        (Variant(seeds=2, unreadable=("a.png: truncated", "b.png: empty")), "2 images could not be read"),
        (Variant(seeds=2, skip=("analysis/advice.json",)), "No advice was given yet"),
        (Variant(seeds=2, config={"selection": "best_on_test"}), "chosen on the test split"),
    ],
)
def test_each_weakness_is_said(tmp_path: Path, variant: Variant, expected: str) -> None:
    found = caveats(read_study(write_study(tmp_path / "s", variant)))
    assert sum(expected in text for text in found) == 1


def test_what_the_advice_already_says_is_not_repeated(tmp_path: Path) -> None:
    found = caveats(read_study(write_study(tmp_path / "s")))
    assert found == ["One teacher per α: the conclusion holds for this pair of teachers, not for smoothing in general."]


def test_notes_on_similar_classes_are_caveats(effect_files: StudyFiles) -> None:
    note = "3 of 10 classes have no similar class (by the endings): η leaves them out."
    assert note not in caveats(effect_files)
    effect_files.similarity["notes"] = [note]
    try:
        assert caveats(effect_files).count(note) == 1
    finally:
        effect_files.similarity["notes"] = []
