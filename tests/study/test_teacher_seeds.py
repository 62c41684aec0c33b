"""A real study with several teacher seeds and student models: what it trains, stores, tests and says."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from safetensors.torch import load_file

from tests.conftest import TINY
from tests.grids import trained
from tosmooth.folder.results import StudyResults
from tosmooth.recipes.reading import load_config
from tosmooth.study.progress import StudyProgress
from tosmooth.study.run import run_study
from tosmooth.study.summary import headline_of, print_summary

WEIGHTS = "model.safetensors"
FEW = "data.limit_train=150"


pytestmark = pytest.mark.slow  # seeds that are paired, as the default study has them, are in test_until_sure.py


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyResults:
    """Two teacher seeds, two student models, taught from stored logits."""
    other = "student.models=[{name: 'timm:test_resnet', kwargs: {input_size: 48}}]"
    overrides = ["teacher.seeds=[0,3]", "student.seeds=[0]", "cache.views=1", FEW, other]
    config = load_config(TINY, overrides)
    return run_study(config, tmp_path_factory.mktemp("runs"), StudyProgress(Console(quiet=True)))


def test_every_student_seed_meets_every_teacher_and_each_teacher_has_its_own_cache(study: StudyResults):
    assert set(study.cells.status) == {"done"}
    identity = ["label_smoothing", "teacher_seed", "temperature", "student"]
    crossed = set(study.cells[identity].itertuples(index=False))
    assert len(crossed) == len(study.cells) == 2 * 2 * 2 * 2
    assert set(study.cells.teacher) == {"a0-s0", "a0.1-s0", "a0-s3", "a0.1-s3"}
    assert len(list((study.path.parent / ".cache").iterdir())) == 4
    assert study.cells.groupby("teacher")["test/top1"].mean().nunique() > 1


def test_the_summary_is_over_teacher_seeds(study: StudyResults):
    summary = pd.read_csv(study.path / "analysis" / "diffusion_summary.csv")
    assert set(summary.n) == {2}
    table = study.diffusion[
        (study.diffusion.student == "resnet8")
        & (study.diffusion.split == "train")
        & (study.diffusion.normalisation == "mean_distance")
        & ~study.diffusion.debiased.astype(bool)
        & (study.diffusion.temperature == 8)
        & (study.diffusion.label_smoothing == 0.1)
    ]
    by_hand = [table[table.teacher_seed == seed].eta_s1.mean() for seed in (0, 3)]
    found = summary[
        (summary.student == "resnet8")
        & (summary.split == "train")
        & (summary.normalisation == "mean_distance")
        & ~summary.debiased.astype(bool)
        & (summary.temperature == 8)
        & (summary.label_smoothing == 0.1)
        & (summary.quantity == "eta_s1")
    ]
    assert found["mean"].tolist() == pytest.approx([np.mean(by_hand)])


def test_what_is_similar_is_said_by_all_unsmoothed_teachers(study: StudyResults):
    similarity = json.loads((study.path / "analysis" / "similarity.json").read_text(encoding="utf-8"))
    assert similarity["source"] == "mean geometry of the 2 teachers with α = 0"


def test_advice_report_and_summary_name_the_unit(study: StudyResults):
    assert study.advice is not None
    assert study.verdict is not None
    assert study.verdict["answer"]["unit"] == "teacher seed"
    assert "over 2 teacher seeds" in (headline_of(study) or "")
    effect = study.advice["effect"]
    assert (effect["verdict"], effect["reason"], effect["unit"]) == ("inconclusive", "too few", "teacher seed")
    assert "one teacher" not in [caveat["code"] for caveat in study.advice["caveats"]]
    page = (study.path / "report.html").read_text(encoding="utf-8")
    assert "One teacher per α" not in page
    assert "2 teacher seeds × 1 seed" in page
    assert "The teacher seed is the unit" in page
    console = Console(record=True, width=120, file=io.StringIO())
    print_summary(study, console)
    assert "over teacher seeds" in " ".join(console.export_text().split())


def test_student_models_are_told_apart(study: StudyResults):
    assert study.advice is not None
    assert study.verdict is not None
    names = ["resnet8", "timm:test_resnet"]
    assert list(study.advice["by_student"]) == list(study.verdict["by_student"]) == names
    best = study.advice["recommendation"]["student"]
    means = {name: own["recommendation"]["mean"] for name, own in study.advice["by_student"].items()}
    assert means[best] == max(means.values())
    assert {row["student"] for row in study.advice["comparisons"]} == {best}
    for name in names:
        assert study.verdict["by_student"][name]["answer"]["chosen"]["student"] == name
    page = (study.path / "report.html").read_text(encoding="utf-8")
    assert "Each student model is a question of its own" in page
    assert len([key for key in study.figures if key.startswith("diffusion") and key.endswith(".png")]) == 2
    assert len([key for key in study.figures if key.startswith("accuracy") and key.endswith(".png")]) == 2
    shapes = {
        name: load_file(study.path / "students" / study.cells[study.cells.student == name].cell.iloc[0] / WEIGHTS)
        for name in names
    }
    assert shapes["resnet8"].keys() != shapes["timm:test_resnet"].keys()


def test_a_second_student_model_leaves_the_first_ones_bits_alone(
    study: StudyResults, tmp_path: Path, silent: StudyProgress
):
    """Models of one group share batches and teachers, nothing else."""
    config = load_config(TINY, ["student.seeds=[0]", "cache.views=1", FEW, "student.temperatures=[8]"])
    for name, alone in trained(config, tmp_path, silent).items():
        beside = study.path / "students" / name / WEIGHTS
        assert alone.read_bytes() == beside.read_bytes()


def test_the_projection_shows_the_first_teachers_alone(study: StudyResults):
    points = pd.read_csv(study.path / "analysis" / "projection.csv")
    assert set(points[points.role == "teacher"].name) == {"a0-s0", "a0.1-s0"}
    assert not points.name.str.endswith("-t3").any()
    assert not points.name.str.contains("test_resnet").any()
    assert points.groupby(["role", "label_smoothing", "temperature"], dropna=False).name.nunique().eq(1).all()
