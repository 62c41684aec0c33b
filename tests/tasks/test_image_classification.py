from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.image_files import write_folder, write_image
from tosmooth.errors import DataError
from tosmooth.recipes.reading import load_config
from tosmooth.study.bench import load_data
from tosmooth.tasks.find import find_task


def check(folder: Path, *overrides: str) -> None:
    """The first look at a folder of images, whose models have no part in it."""
    settings = ["data.source=folder", f"data.path={folder}", "data.image_size=32", *overrides]
    limits = [f"data.limit_{split}=null" for split in ("train", "validation", "test")]
    config = load_config("fashion-mnist", [*settings, *limits])
    find_task(config.task).check(config, load_data(config))


CROP = ("data.train_augmentation=crop_flip", "data.eval_transform=resize_center_crop")


def test_an_image_smaller_than_the_crop_is_told_wherever_it_is(tmp_path: Path):
    write_folder(tmp_path, splits={"train": 40, "val": 5})
    check(tmp_path, *CROP)
    write_image(tmp_path / "train" / "dog" / "17.png", size=(16, 40))
    with pytest.raises(DataError, match=r"dog/17\.png: 16 × 40 pixels, .*cannot crop it.*train_augmentation=imagenet"):
        check(tmp_path, *CROP)
    check(tmp_path, "data.train_augmentation=imagenet", CROP[1])


def test_one_image_of_another_size_among_many_is_found(tmp_path: Path):
    write_folder(tmp_path, splits={"train": 40, "val": 5})
    write_image(tmp_path / "train" / "dog" / "17.png", size=(41, 32))
    with pytest.raises(DataError, match=r"data\.train_augmentation: 'flip' leaves images of different size"):
        check(tmp_path, "data.train_augmentation=flip", CROP[1])


def test_the_first_look_decodes_and_names_the_way_out(tmp_path: Path):
    write_folder(tmp_path, splits={"train": 8, "val": 5})
    path = tmp_path / "train" / "dog" / "0.png"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"dog/0\.png: not readable.*; data\.on_error=skip leaves such images out"):
        check(tmp_path, "data.validation=0", "selection=last", *CROP)
    check(tmp_path, "data.validation=0", "selection=last", "data.on_error=skip", *CROP)
