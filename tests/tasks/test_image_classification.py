"""What is found out of images and models before any work."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.image_files import write_folder, write_image
from tosmooth.errors import ConfigError, DataError
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


DEIT = {"name": "timm:deit_tiny_distilled_patch16_224", "kwargs": {"depth": 1, "embed_dim": 24, "num_heads": 3}}


def test_models_of_two_heads_are_told_before_any_training(tiny_raw):
    tiny_raw["teacher"]["model"] = DEIT
    tiny_raw["student"]["models"] = [DEIT, {"name": "resnet14", "last_layer": "fcc"}]
    config = load_config(tiny_raw)
    task = find_task(config.task)
    data = task.load_data(config)
    with pytest.raises(ConfigError) as caught:
        task.check(config, data)
    ambiguous = "ambiguous: 'backbone.head', 'backbone.head_dist'"
    for mistake, key, words in zip(
        caught.value.mistakes,
        ("teacher.model", "student.models.0", "student.models.1"),
        (ambiguous, ambiguous, "did you mean 'fc'"),
        strict=True,
    ):
        assert mistake.startswith(f"{key}.last_layer: ")
        assert words in mistake
    settled = {"last_layer": "head"}
    tiny_raw["teacher"]["model"], tiny_raw["student"]["models"] = DEIT | settled, [DEIT | settled]
    task.check(load_config(tiny_raw), data)
