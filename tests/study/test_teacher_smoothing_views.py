from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import Tensor

import tosmooth
from tosmooth.folder.paths import StudyDirectory
from tosmooth.folder.results import StudyResults
from tosmooth.recipes.reading import load_config
from tosmooth.study.bench import load_data
from tosmooth.study.context import Context
from tosmooth.study.plan import make_plan
from tosmooth.study.progress import StudyProgress
from tosmooth.study.teacher_smoothing_views import shifted, teacher_views
from tosmooth.training.compute import Compute


@pytest.fixture
def context(tiny_study: StudyResults, tmp_path: Path, silent: StudyProgress) -> Context:
    """The tiny study's teachers in a folder of their own."""
    shutil.copytree(tiny_study.path / "teachers", tmp_path / "teachers")
    config = load_config(str(tiny_study.path / "study.yaml"))
    compute = Compute.from_config(config.compute)
    return Context(config, load_data(config), compute, make_plan(config), StudyDirectory(tmp_path), silent)


def _answers(context: Context, teacher) -> tuple[Tensor, Tensor]:
    images, rows = context.data.train.in_memory()
    model = context.trained_model(teacher)
    with torch.no_grad():
        return model(images[rows]), context.data.train.labels


def test_a_teachers_numbers_are_those_of_its_logits_on_the_training_split(context: Context):
    for teacher in context.plan.teachers:
        found = teacher_views(context, teacher, (1.0, 8.0))
        logits, labels = _answers(context, teacher)
        assert found["stability"] == pytest.approx(tosmooth.stability(logits.softmax(1), labels), abs=1e-5)
        for temperature in (1, 8):
            expected = tosmooth.smoothness((logits / temperature).softmax(1), labels)
            assert found["smoothness"][str(temperature)] == pytest.approx(expected, abs=1e-5)
        assert found["images"] == len(labels)
        assert 0 < found["mi_similar"] < math.log(found["mi_images"])
        assert found["mi_augmentation"] == "shifts by up to 2 pixels"


def test_what_is_known_is_not_computed_again_and_new_temperatures_are(context: Context):
    teacher = context.plan.teachers[0]
    path = context.folder(teacher) / "views.json"
    first = teacher_views(context, teacher, (1.0, 8.0))
    path.write_text(json.dumps(first | {"stability": -7.0}), encoding="utf-8")
    assert teacher_views(context, teacher, (1.0,))["stability"] == -7.0
    again = teacher_views(context, teacher, (1.0, 2.0, 8.0))
    assert again["stability"] == first["stability"]
    assert again["mi_similar"] == first["mi_similar"]
    assert set(again["smoothness"]) == {"1", "2", "8"}


def test_other_weights_are_another_teacher(context: Context):
    one, other = context.plan.teachers
    first = teacher_views(context, one, (1.0,))
    shutil.copy(context.folder(other) / "model.safetensors", context.folder(one) / "model.safetensors")
    assert teacher_views(context, one, (1.0,))["stability"] != first["stability"]


def test_a_rich_augmentation_gives_the_views_itself(context: Context):
    data = context.config.data.model_copy(update={"train_augmentation": "crop_flip", "image_size": 28})
    config = context.config.model_copy(update={"data": data})
    other = replace(context, config=config)
    (context.folder(context.plan.teachers[0]) / "views.json").unlink()
    found = teacher_views(other, context.plan.teachers[0], (1.0,))
    assert found["mi_augmentation"] == "training augmentation (crop_flip)"
    assert found["mi_similar"] < math.log(found["mi_images"])


def test_shifts_move_each_image_by_its_own_and_let_zeros_in():
    images = torch.arange(1, 10, dtype=torch.uint8).reshape(1, 1, 3, 3).repeat(3, 2, 1, 1)
    found = shifted(images, torch.tensor([[2, 2], [0, 2], [2, 3]]))
    assert found.dtype == torch.uint8
    assert torch.equal(found[0], images[0])
    assert found[1, 1].tolist() == [[0, 0, 0], [0, 0, 0], [1, 2, 3]]
    assert found[2, 0].tolist() == [[2, 3, 0], [5, 6, 0], [8, 9, 0]]


def test_a_study_leaves_all_three_views(tiny_study: StudyResults):
    table = pd.read_csv(tiny_study.path / "analysis" / "views.csv")
    teachers, students = table[table.role == "teacher"], table[table.role == "student"]
    assert (len(teachers), len(students)) == (2, len(tiny_study.cells))
    assert (
        teachers[["stability", "mi_similar", "mi_dissimilar", "smoothness", "compactness", "cal/ece"]].notna().all(None)
    )
    assert students[["compactness", "compactness_val", "cal/ece", "smoothness"]].notna().all(None)
    at_one = students[students.temperature == 1].set_index("teacher").smoothness
    for _, teacher in teachers.iterrows():
        assert (at_one[teacher["name"]] == teacher.smoothness).all()
    assert (students[students.temperature == 8].smoothness.min() > at_one).all()
    info = json.loads((tiny_study.path / "analysis" / "views.json").read_text(encoding="utf-8"))
    assert set(info["teachers"]) == {"label_smoothing", "compactness", "information", "stability"}
    assert info["teachers"]["stability"]["smoothed"] == pytest.approx(teachers.stability.iloc[-1])
    assert info["calibration"]["verdict"] == "inconclusive"  # two seeds
    assert not (tiny_study.path / "analysis" / "objectives.csv").exists()
