from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.data.image_files import write_folder, write_image
from tosmooth.data.registry import load_image_data
from tosmooth.errors import DataError


def test_imagenet_layout_keeps_val_for_the_test_and_splits_validation_off_train(tmp_path: Path):
    data = load_image_data("folder", path=write_folder(tmp_path, splits={"train": 10, "val": 3}), validation=0.2)
    assert data.classes == ("cat", "dog")
    assert (len(data.train), len(data.validation), len(data.test)) == (16, 4, 6)
    assert data.validation.labels.bincount().tolist() == [2, 2]
    names = [{split.describe(i) for i in range(len(split))} for split in (data.train, data.validation, data.test)]
    assert not names[0] & names[1]
    assert all("/val/" in name for name in names[2])


def test_with_a_test_folder_val_is_validation(tmp_path: Path):
    data = load_image_data("folder", path=write_folder(tmp_path, splits={"train": 4, "val": 3, "test": 2}))
    assert (len(data.train), len(data.validation), len(data.test)) == (8, 6, 4)
    assert "own split" in data.notes[0]


def test_pixels_come_through_unchanged_as_rgb(tmp_path: Path):
    write_folder(tmp_path)
    write_image(tmp_path / "train" / "cat" / "zz-grey.png", mode="L")
    data = load_image_data("folder", path=tmp_path, validation=0)
    positions = {
        Path(data.train.describe(i)).name: i for i in range(len(data.train.labels)) if data.train.labels[i] == 0
    }
    with Image.open(tmp_path / "train" / "cat" / "0.png") as image:
        expected = torch.tensor(list(image.getdata()), dtype=torch.uint8).reshape(32, 40, 3).permute(2, 0, 1)
    assert torch.equal(data.train[positions["0.png"]], expected)
    assert data.train[positions["zz-grey.png"]].shape == (3, 32, 40)
    assert data.channels == 3


def test_hidden_files_and_notes_are_no_images(tmp_path: Path):
    write_folder(tmp_path)
    (tmp_path / "train" / "cat" / "notes.txt").write_text("mine", encoding="utf-8")
    (tmp_path / "train" / ".cache").mkdir()
    write_image(tmp_path / "train" / "cat" / ".ipynb_checkpoints" / "0.png")
    (tmp_path / "train" / "cat" / "._0.png").write_bytes(b"what macOS leaves")
    assert len(load_image_data("folder", path=tmp_path, validation=0).train) == 12


def test_damaged_and_truncated_images_are_named(tmp_path: Path):
    write_folder(tmp_path)
    broken = tmp_path / "train" / "dog" / "0.png"
    whole = broken.read_bytes()
    for content in (b"not an image", whole[: len(whole) // 2]):
        broken.write_bytes(content)
        data = load_image_data("folder", path=tmp_path, validation=0)
        index = next(i for i in range(len(data.train)) if data.train.describe(i) == str(broken))
        with pytest.raises(DataError, match=r"dog/0\.png: not readable as an image"):
            data.train[index]


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (lambda root: shutil.rmtree(root / "train"), r"holds val/ but no train/"),
        (lambda root: (root / "val").rename(root / "held"), r"holds train/ and held/, but no val/ or test/"),
        (lambda root: [f.unlink() for f in (root / "train" / "cat").iterdir()], r"train/cat: holds no images"),
        (lambda root: [shutil.rmtree(d) for d in (root / "train").iterdir()], r"train: holds no class folders"),
        (
            lambda root: (root / "val" / "dog").rename(root / "val" / "dogs"),
            r"dogs: not a class of train/; did you mean 'dog'",
        ),
        (lambda root: shutil.rmtree(root / "val" / "dog"), r"no folder for 1 classes of train/: dog"),
    ],
)
def test_broken_layouts(tmp_path: Path, break_it, reason):
    write_folder(tmp_path)
    break_it(tmp_path)
    with pytest.raises(DataError, match=reason):
        load_image_data("folder", path=tmp_path)


def test_no_path_or_a_missing_one():
    with pytest.raises(DataError, match=r"data\.path"):
        load_image_data("folder")
    with pytest.raises(DataError, match="no such folder"):
        load_image_data("folder", path=Path("/no/such/place"))


def test_class_folders_alone_are_parted_once_and_for_all(tmp_path: Path):
    for name, count in (("cat", 20), ("dog", 10)):
        for i in range(count):
            write_image(tmp_path / name / f"{i}.png", seed=i)
    first, again = (load_image_data("folder", path=tmp_path, validation=0.25) for _ in range(2))
    assert first.classes == ("cat", "dog")
    assert (len(first.train), len(first.validation), len(first.test)) == (18, 6, 6)
    assert first.test.labels.tolist() == [0] * 4 + [1] * 2
    assert "20 % of the images" in first.notes[0]
    assert first.fingerprint == again.fingerprint
    names = [{split.describe(i) for i in range(len(split))} for split in (first.train, first.validation, first.test)]
    assert len(set.union(*names)) == 30


def test_class_folders_with_too_few_images_are_named(tmp_path: Path):
    for i in range(4):
        write_image(tmp_path / "cat" / f"{i}.png", seed=i)
    for i in range(9):
        write_image(tmp_path / "dog" / f"{i}.png", seed=i)
    with pytest.raises(DataError, match=r"cat: fewer than 5 images"):
        load_image_data("folder", path=tmp_path)


def test_train_and_test_without_validation(tmp_path: Path):
    data = load_image_data("folder", path=write_folder(tmp_path, splits={"train": 10, "test": 3}), validation=0.2)
    assert (len(data.train), len(data.validation), len(data.test)) == (16, 4, 6)


def test_a_class_called_train_or_test_is_told(tmp_path: Path):
    for name in ("car", "train"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / name / "0.png")
    with pytest.raises(DataError, match="If train is one of your classes, give its folder another name"):
        load_image_data("folder", path=tmp_path)
    (tmp_path / "train").rename(tmp_path / "test")
    with pytest.raises(DataError, match="If test is one of your classes"):
        load_image_data("folder", path=tmp_path)
