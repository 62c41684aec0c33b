"""Files of a finished study that somebody has lost or a disk has spoilt: named, with the way out, and it works."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.folder.test_old_folders import OLD
from tosmooth.advice.comparisons import read_judged
from tosmooth.errors import StudyError
from tosmooth.folder.paths import (
    CENTROIDS_FILE,
    FEATURES_FILE,
    JUDGED_FILE,
    RELIABILITY_FILE,
    TEACHER_VIEWS_FILE,
    WEIGHTS_FILE,
    StudyDirectory,
)
from tosmooth.folder.reading import read_unreadable
from tosmooth.recipes.reading import load_config
from tosmooth.study.progress import StudyProgress
from tosmooth.study.run import run_study

STUDENT, TEACHER = "students/hinton-a0-T1-resnet8-s0", "teachers/a0.1-s0"


@pytest.fixture
def study(tmp_path: Path) -> StudyDirectory:
    return StudyDirectory(shutil.copytree(OLD, tmp_path / "small"))


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def again(study: StudyDirectory, progress: StudyProgress) -> None:
    run_study(load_config(str(study.config)), study.path.parent, progress)


@pytest.mark.parametrize("owner", [STUDENT, pytest.param(TEACHER, marks=pytest.mark.slow)])
def test_what_only_training_makes_again_says_which_folder_to_delete(
    study: StudyDirectory, silent: StudyProgress, owner: str
):
    folder = study.path / owner
    for name, missing in ((WEIGHTS_FILE, "no such file"), (CENTROIDS_FILE, "missing")):
        for reason in ("damaged", missing):
            damage(folder / name) if reason == "damaged" else (folder / name).unlink()
            with pytest.raises(StudyError) as caught:
                again(study, silent)
            assert str(folder / name) in str(caught.value)
            assert reason in str(caught.value)
            assert f"delete {folder}, and the next run of the study makes it again" in str(caught.value)
        shutil.copy(OLD / owner / name, folder / name)


@pytest.mark.usefixtures("unreported")
def test_what_a_pass_makes_again_is_to_be_deleted_itself(study: StudyDirectory, silent: StudyProgress):
    files = [f"{STUDENT}/{FEATURES_FILE}", f"{STUDENT}/{RELIABILITY_FILE}", f"{TEACHER}/{TEACHER_VIEWS_FILE}"]
    for path in (study.path / file for file in files):
        damage(path)
        with pytest.raises(StudyError, match=rf"{path.name} is damaged.*; delete it, and "):
            again(study, silent)
        path.unlink()
    again(study, silent)
    assert [(study.path / file).is_file() for file in files] == [False, True, True]  # features are taken when needed


def test_judged_samples_that_are_damaged_are_named(study: StudyDirectory):
    folder = study.path / STUDENT
    assert read_judged({"a": folder})["a"].size == 60
    damage(folder / JUDGED_FILE)
    with pytest.raises(StudyError, match=rf"{JUDGED_FILE} is damaged .*; delete it, and it is left out"):
        read_judged({"a": folder})
    (folder / JUDGED_FILE).unlink()
    assert read_judged({"a": folder}) == {}


def test_the_list_of_images_left_out_may_be_missing_but_not_damaged(tmp_path: Path):
    path = tmp_path / "unreadable.csv"
    assert read_unreadable(path) == []
    path.write_text("image\nb.png: truncated\n", encoding="utf-8")
    assert read_unreadable(path) == ["b.png: truncated"]
    path.write_bytes(bytes(range(128, 256)))
    with pytest.raises(StudyError, match=r"unreadable\.csv is not readable as CSV"):
        read_unreadable(path)
