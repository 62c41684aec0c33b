from __future__ import annotations

from pathlib import Path

import pytest

from tosmooth.data.split_names import is_left_by_programs, kind_of, split_folders, unwrapped


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (
            "train Train TRAINING training train_images seg_train TrainSet training-data train2017 Train_Set_Folder",
            "train",
        ),
        ("val Valid VALIDATION validation_images val2017 seg_val images_val Validation_Set_Folder dev", "val"),
        ("test Testing TEST_IMAGES test-set seg_test TestData images.test", "test"),
    ],
)
def test_splits_go_by_many_names(names, kind):
    assert {name: kind_of(name) for name in names.split()} == dict.fromkeys(names.split(), kind)


def test_other_folders_are_no_splits():
    names = "strain trained contest tester valley validator images set 2017 seg_pred train_masks trainval latest cat"
    assert [name for name in names.split() if kind_of(name)] == []
    assert kind_of("9" * 200 + "x") is kind_of("dataset" * 30 + "x") is kind_of("imgs_" * 40) is None


def test_what_systems_leave():
    names = "__MACOSX @eaDir .DS_Store Thumbs.db $RECYCLE.BIN lost+found .ipynb_checkpoints desktop.ini"
    assert all(is_left_by_programs(name) for name in names.split())
    assert not any(is_left_by_programs(name) for name in ("macosx", "eaDir", "cat"))


def test_folders_of_splits_and_the_double_ones_of_archives(tmp_path: Path):
    (tmp_path / "seg_train" / "seg_train" / "cat").mkdir(parents=True)
    (tmp_path / "Testing" / "cat").mkdir(parents=True)
    (tmp_path / "seg_pred").mkdir()
    (tmp_path / ".train").mkdir()
    found = split_folders(tmp_path)
    assert found == {"train": [tmp_path / "seg_train"], "test": [tmp_path / "Testing"]}
    assert unwrapped(tmp_path / "seg_train") == tmp_path / "seg_train" / "seg_train"
    assert unwrapped(tmp_path / "Testing") == tmp_path / "Testing"
