"""Whose teachers are those that a configuration would train."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tosmooth.config.schema import dump_config
from tosmooth.folder.paths import StudyDirectory
from tosmooth.folder.writing import write_json
from tosmooth.recipes.reading import load_config
from tosmooth.search.teacher_reuse import same_teachers


@pytest.fixture
def study(tiny_raw: dict[str, Any], tmp_path: Path) -> StudyDirectory:
    directory = StudyDirectory(tmp_path / "tiny")
    directory.state.mkdir(parents=True)
    directory.config.write_text(dump_config(load_config(tiny_raw)), encoding="utf-8")
    write_json(directory.state / "data.json", {"fingerprint": "these"})
    return directory


@pytest.mark.parametrize(
    "override",
    ["name=tiny-search", "student.epochs=5", "student.temperatures=[3]", "teacher.label_smoothing=[0.0,0.2]",
     "cache=off", "compute.threads=1", "analysis.margin=1", "preview=true", "student.hard_weight=0.5"],
)  # fmt: skip
def test_what_no_teacher_depends_on_may_differ(study: StudyDirectory, tiny_raw: dict[str, Any], override: str):
    assert same_teachers(study, load_config(tiny_raw, [override]), "these")


@pytest.mark.parametrize(
    "override",
    ["teacher.epochs=3", "teacher.model=resnet14", "data.validation=0.3", "data.train_augmentation=flip",
     "selection=last", "compute.precision=bf16", "teacher.optimizer.learning_rate=0.2"],
)  # fmt: skip
def test_what_a_teacher_depends_on_may_not(study: StudyDirectory, tiny_raw: dict[str, Any], override: str):
    assert not same_teachers(study, load_config(tiny_raw, [override]), "these")


def test_other_data_or_no_study_have_other_teachers(study: StudyDirectory, tiny_raw: dict[str, Any], tmp_path: Path):
    config = load_config(tiny_raw)
    assert not same_teachers(study, config, "those")
    assert not same_teachers(StudyDirectory(tmp_path / "nowhere"), config, "these")
    study.config.write_text("a: [", encoding="utf-8")
    assert not same_teachers(study, config, "these")
