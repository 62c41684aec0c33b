from __future__ import annotations

import dataclasses
from pathlib import Path

from tests.fake_study.folder import Variant, write_study
from tosmooth.report.reading import StudyFiles, read_study
from tosmooth.report.wording import duration, headline, how_classes_were_chosen, how_it_was_run, recommendation


def test_headline_prefers_the_verdict_then_the_advice(effect_files: StudyFiles, tmp_path: Path) -> None:
    start = "With these teachers: smooth the teacher (α = 0.1). Distil at T = 1: 88.0 ± 0.1 % test top-1"
    assert headline(effect_files).startswith(start)
    frozen = read_study(write_study(tmp_path / "a", Variant(seeds=1, skip=("analysis/verdict.json",))))
    assert (
        headline(frozen) == "Distil from the smoothed teacher (α = 0.1) at T = 1, by validation; test was not read yet."
    )


def test_headline_of_an_unfinished_study_gives_no_advice(tmp_path: Path) -> None:
    skip = ("analysis/verdict.json", "analysis/advice.json")
    files = read_study(write_study(tmp_path / "s", Variant(seeds=1, skip=skip, failed=("hinton-a0-T1-resnet8-s0",))))
    assert headline(files) == "No verdict yet: 7 of 8 students finished."
    assert recommendation(files) == []


def test_recommendation_in_words(effect_files: StudyFiles) -> None:
    assert recommendation(effect_files) == [
        ("Teacher", "trained with label smoothing α = 0.1"),
        ("Temperature", "T = 1"),
        ("Size", "78,042 parameters, 0.32 MB of weights"),
    ]


def test_how_it_was_run_names_grid_versions_and_time(effect_files: StudyFiles) -> None:
    run = dict(how_it_was_run(effect_files))
    assert run["grid"] == "α ∈ {0, 0.1} × T ∈ {1, 2, 3, 64} × 6 seeds"
    assert run["time"] == "7 min 1 s"
    assert run["PyTorch"] == "2.9.0"
    assert "GPU" not in run  # there was none


def test_how_it_was_run_tells_mixed_images(effect_files: StudyFiles) -> None:
    plain = dict(how_it_was_run(effect_files))["student"]
    student = {**effect_files.config["student"], "mixing": {"mixup": 0.2, "cutmix": 1.0}}
    mixed = dataclasses.replace(effect_files, config={**effect_files.config, "student": student})
    assert dict(how_it_was_run(mixed))["student"] == f"{plain}; images mixed: MixUp 0.2, CutMix 1"


def test_how_it_was_run_tells_where_weights_are_a_moving_average(effect_files: StudyFiles) -> None:
    plain = dict(how_it_was_run(effect_files))
    student = {**effect_files.config["student"], "moving_average": {"decay": 0.9998, "warmup": True}}
    run = dict(how_it_was_run(dataclasses.replace(effect_files, config={**effect_files.config, "student": student})))
    assert run["student"] == f"{plain['student']}; kept: the moving average of the weights (decay 0.9998)"
    assert run["teacher"] == plain["teacher"]


def test_duration() -> None:
    assert [duration(s) for s in (3.2, 60, 3725)] == ["3 s", "1 min 0 s", "1 h 2 min"]


def test_how_the_classes_were_chosen_in_words() -> None:
    old = {"source": "geometry of the teacher with α = 0", "m": 3}
    assert how_classes_were_chosen(old).startswith(
        "The 3 nearest and the 3 farthest classes of each class, by the geom"
    )
    groups = {"source": "groups of g.yaml", "m": None, "dissimilar_source": "all classes of other groups"}
    assert how_classes_were_chosen(groups) == (
        "The other classes of each class’s own group, by the groups of g.yaml; dissimilar: all classes of other groups."
    )
    assert how_classes_were_chosen({})
