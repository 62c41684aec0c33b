"""Folders as they come: named by others, unpacked by programs, linked, with more in them than images."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.image_files import write_folder, write_image
from tosmooth.data.base import ImageData
from tosmooth.data.registry import load_image_data
from tosmooth.errors import DataError


def sizes(data: ImageData) -> tuple[int, int, int]:
    return len(data.train), len(data.validation), len(data.test)


def classes_alone(root: Path, names: tuple[str, ...] = ("cat", "dog"), count: int = 5) -> Path:
    for c, name in enumerate(names):
        for i in range(count):
            write_image(root / name / f"{i}.png", seed=100 * c + i)
    return root


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("Train", "Val", "Test"), (6, 6, 6)),
        (("TRAINING", "TESTING"), (6, 0, 6)),
        (("train_images", "valid_images"), (6, 0, 6)),
        (("seg_train/seg_train", "seg_test/seg_test"), (6, 0, 6)),
    ],
)
def test_splits_are_known_by_their_usual_names(tmp_path: Path, names, expected):
    data = load_image_data("folder", path=write_folder(tmp_path, splits=dict.fromkeys(names, 3)), validation=0)
    assert data.classes == ("cat", "dog")
    assert sizes(data) == expected


@pytest.mark.parametrize("outer", [("a", "b", "c"), ("Set 1", "Set 2"), ("labelled", "unseen")])
def test_the_same_folders_in_every_class_have_two_readings(tmp_path: Path, outer):
    write_folder(tmp_path, classes=("cat", "dog", "eel"), splits=dict.fromkeys(outer, 6))
    for name in outer:  # also where one lacks a class
        write_image(tmp_path / name / name.replace(" ", "") / "0.png")
    reason = (
        rf"{outer[0]}/, {outer[1]}/.*hold the same folders \(cat/, dog/, eel/\).*are splits: name.*are the classes, put"
    )
    with pytest.raises(DataError, match=reason):
        load_image_data("folder", path=tmp_path)
    (tmp_path / "archive").mkdir()
    for name in outer:
        (tmp_path / name).rename(tmp_path / "archive" / name)
    with pytest.raises(DataError, match=r"holds one folder, archive/.*give data\.path=.*archive"):
        load_image_data("folder", path=tmp_path)


def test_classes_with_folders_of_their_own_are_read_whole(tmp_path: Path):
    for name, folders in (("cat", ("2023", "may/one")), ("dog", ("kennel", "2023"))):
        for folder in folders:
            for i in range(3):
                write_image(tmp_path / name / folder / f"{i}.png")
    assert sizes(load_image_data("folder", path=tmp_path, validation=0)) == (10, 0, 2)


def test_two_folders_of_one_split_are_told(tmp_path: Path):
    write_folder(tmp_path, splits={"train": 2, "Training": 2, "val": 2})
    with pytest.raises(DataError, match=r"Training/ and train/ both name the training split"):
        load_image_data("folder", path=tmp_path)


def test_training_images_alone_are_parted_as_class_folders_are(tmp_path: Path):
    data = load_image_data("folder", path=write_folder(tmp_path, splits={"train": 10}), validation=0)
    assert sizes(data) == (16, 0, 4)
    assert data.notes[0] == "test: 20 % of the images in train/, stratified, always the same"


def test_unlabelled_test_images_are_left_out_with_a_note(tmp_path: Path):
    write_folder(tmp_path, splits={"train": 5, "val": 2})
    for i in range(3):
        write_image(tmp_path / "test" / f"{i}.jpg")
    data = load_image_data("folder", path=tmp_path, validation=0)
    assert sizes(data) == (10, 0, 4)
    assert data.unread == ("test/ left out: 3 images in no class folder, so without labels",)
    (tmp_path / "val").rename(tmp_path / ".val")
    assert sizes(load_image_data("folder", path=tmp_path, validation=0)) == (8, 0, 2)
    (tmp_path / ".val").rename(tmp_path / "val")
    for file in (tmp_path / "val").rglob("*.png"):
        file.rename(tmp_path / "val" / f"{file.parent.name}-{file.name}")
    for name in ("cat", "dog"):
        (tmp_path / "val" / name).rmdir()
    with pytest.raises(DataError, match=r"val: holds no class folders.*have to be sorted"):
        load_image_data("folder", path=tmp_path)


def test_every_kind_that_pillow_reads_is_counted(tmp_path: Path):
    classes_alone(tmp_path)
    kinds = {
        ".JFIF": "JPEG",
        ".jpe": "JPEG",
        ".jp2": "JPEG2000",
        ".TGA": "TGA",
        ".ico": "ICO",
        ".pnm": "PPM",
        ".qoi": "QOI",
    }
    kinds |= {".Tiff": "TIFF", ".dib": "DIB", ".avif": "AVIF", ".pcx": "PCX"}
    for ending, kind in kinds.items():
        content = io.BytesIO()
        Image.new("RGB", (32, 32), "red").save(content, kind)
        (tmp_path / "cat" / f"a{ending}").write_bytes(content.getvalue())
    data = load_image_data("folder", path=tmp_path, validation=0)
    assert len(data.train) + len(data.test) == 10 + len(kinds)
    assert not data.unread
    for split in (data.train, data.test):
        assert all(split[i].shape[0] == 3 and split.size_of(i) for i in range(len(split)))


def test_what_is_not_read_is_counted_in_one_line(tmp_path: Path):
    classes_alone(tmp_path)
    for i in range(3):
        (tmp_path / "cat" / f"{i}.HEIC").write_bytes(b"no image that Pillow reads")
    (tmp_path / "dog" / "notes").write_text("mine", encoding="utf-8")
    (tmp_path / "dog" / "5.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "dog" / "itself.png").symlink_to(tmp_path / "dog" / "itself.png")
    (tmp_path / "dog" / "above").symlink_to(tmp_path / "dog")
    write_image(tmp_path / "lost.png")
    write_image(tmp_path / "cat" / "@eaDir" / "0.png" / "thumb.jpg")
    write_image(tmp_path / "__MACOSX" / "cat" / "._0.png")
    (tmp_path / "cat" / "Thumbs.db").write_bytes(b"mine")
    (tmp_path / "cat" / "._0.png").write_bytes(b"mine")
    data = load_image_data("folder", path=tmp_path, validation=0)
    assert data.classes == ("cat", "dog")
    assert len(data.train) + len(data.test) == 10
    assert data.unread == (
        "8 files not read: 3 .heic, 1 without an ending, 1 image in no class folder, "
        "2 links to nowhere (dog/5.png, dog/itself.png), 1 link to a folder they lie in (dog/above); "
        "4 files of programs ignored: 1 in __MACOSX/, 1 hidden, 1 in @eaDir/, 1 Thumbs.db",
    )
    assert data.unread[0] in data.notes


def test_links_are_followed_and_a_dead_class_is_named(tmp_path: Path):
    elsewhere, root = classes_alone(tmp_path / "elsewhere", ("eel", "more")), classes_alone(tmp_path / "images")
    (root / "eel").symlink_to(elsewhere / "eel")
    (root / "cat" / "more").symlink_to(elsewhere / "more")
    (root / "dog" / "one.png").symlink_to(elsewhere / "eel" / "0.png")
    data = load_image_data("folder", path=root, validation=0)
    assert data.classes == ("cat", "dog", "eel")
    assert len(data.train) + len(data.test) == 21
    (root / "fox").symlink_to(tmp_path / "unmounted")
    with pytest.raises(DataError, match=r"fox: a link to nowhere \(.*unmounted\); mend or remove it"):
        load_image_data("folder", path=root)


def test_folders_beside_the_splits_are_named(tmp_path: Path):
    write_folder(tmp_path, splits={"train": 3, "val": 2, "seg_pred": 1})
    (tmp_path / "labels.csv").write_text("x", encoding="utf-8")
    data = load_image_data("folder", path=tmp_path, validation=0)
    assert data.unread == ("not read, as no split: seg_pred/", "1 file not read: 1 .csv")


def test_a_class_of_other_files_says_what_there_is(tmp_path: Path):
    classes_alone(tmp_path)
    (tmp_path / "eel").mkdir()
    with pytest.raises(DataError, match=r"eel: holds no images that Pillow reads \(it is empty\)"):
        load_image_data("folder", path=tmp_path)
    for i in range(2):
        (tmp_path / "eel" / f"{i}.heic").write_bytes(b"")
    with pytest.raises(DataError, match=r"eel: holds no images that Pillow reads \(there: 2 \.heic\)"):
        load_image_data("folder", path=tmp_path)


def test_one_name_in_two_spellings_of_unicode_is_one_class(tmp_path: Path):
    composed, apart = "caf\u00e9", "cafe\u0301"
    for split, name in (("train", composed), ("val", apart)):
        write_folder(tmp_path, classes=("bar", name), splits={split: 2})
    assert load_image_data("folder", path=tmp_path, validation=0).classes == ("bar", composed)


def test_the_first_look_names_the_way_out(tmp_path: Path):
    classes_alone(tmp_path)
    (tmp_path / "cat" / "0.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"0\.png: not readable.*data\.on_error=skip leaves such images out"):
        load_image_data("folder", path=tmp_path)
    assert load_image_data("folder", path=tmp_path, skip_unreadable=True).width == 40


def test_16_bit_images_say_so_and_not_that_they_are_damaged(tmp_path: Path):
    classes_alone(tmp_path)
    Image.fromarray(np.full((4, 4), 60_000, dtype=np.uint16)).save(tmp_path / "cat" / "0.png")
    with pytest.raises(DataError, match=r"0\.png: pixels of mode I;16 \(more than 8 bits\)"):
        load_image_data("folder", path=tmp_path)


def test_links_must_not_make_one_folder_two_things(tmp_path: Path):
    root = classes_alone(tmp_path / "images")
    (root / "cat" / "all").symlink_to(root)
    data = load_image_data("folder", path=root, validation=0)
    assert len(data.train) + len(data.test) == 10
    assert data.unread == ("1 file not read: 1 link to a folder they lie in (cat/all)",)
    (root / "eel").symlink_to(root / "dog")
    with pytest.raises(DataError, match=r"eel: is the same folder as .*dog \(a link\)"):
        load_image_data("folder", path=root)
    parted = write_folder(tmp_path / "parted", splits={"train": 3})
    (parted / "val").symlink_to(parted / "train")
    with pytest.raises(DataError, match=r"val: is the same folder as .*train \(a link\)"):
        load_image_data("folder", path=parted)
    (parted / "val").unlink()
    (parted / "val").mkdir()
    for path in (parted / "train").iterdir():
        (parted / "val" / path.name).symlink_to(path)
    with pytest.raises(DataError, match=r"val/.*: is the same folder as .*train/.* \(a link\)"):
        load_image_data("folder", path=parted)
    shutil.rmtree(parted / "val")
    (parted / "val").symlink_to(tmp_path / "gone")
    with pytest.raises(DataError, match=r"val: a link to nowhere \(.*gone\)"):
        load_image_data("folder", path=parted)


def test_a_folder_too_many_is_named(tmp_path: Path):
    write_folder(tmp_path, splits={"train/images": 3, "test/images": 2})
    with pytest.raises(DataError, match=r"train: holds one folder, images/.*move them up into train/"):
        load_image_data("folder", path=tmp_path)
    flat = tmp_path / "flat"
    write_image(flat / "0.png")
    with pytest.raises(DataError, match=r"flat: holds no class folders \(there: 1 \.png\); expected <class>/<image>"):
        load_image_data("folder", path=flat)


def test_names_of_images_may_be_anything_and_those_of_classes_are_text(tmp_path: Path):
    root = write_folder(tmp_path / "images", splits={"train": 6, "val": 3})
    image = next((root / "train" / "dog").iterdir())
    image.rename(image.with_name("caf\udce9.png"))
    assert len(load_image_data("folder", path=root).fingerprint) == 64
    (root / "train" / "dog").rename(root / "train" / "chien\udce9")
    with pytest.raises(DataError, match=r"the class folder 'chien.udce9' has a name that is no UTF-8; rename it"):
        load_image_data("folder", path=root)
