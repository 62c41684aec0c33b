"""Images without labels: what is taken from a folder, what is counted, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.data.image_files import write_folder, write_image
from tosmooth.data.base import NO_LABEL, ImageData
from tosmooth.data.registry import load_image_data
from tosmooth.errors import DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "images", splits={"train": 6, "val": 2, "test": 2})


@pytest.fixture
def more(tmp_path: Path) -> Path:
    folder = tmp_path / "more"
    for number, name in enumerate(["a.jpg", "deep/er/b.JPEG", "deep/c.png", "cat/d.bmp", "e.webp"]):
        write_image(folder / name, seed=900 + number)
    return folder


def load(root: Path, unlabelled: Path | None) -> ImageData:
    return load_image_data("folder", path=root, unlabelled=unlabelled)


def test_images_of_any_depth_and_kind_join_training_for_distillation_alone(root: Path, more: Path) -> None:
    (more / "notes.txt").write_text("none", encoding="utf-8")
    (more / "gone.jpg").symlink_to(more / "nowhere.jpg")
    plain, data = load(root, None), load(root, more)
    assert data.unlabelled is not None
    assert [Path(data.unlabelled.describe(i)).name for i in range(5)] == ["a.jpg", "d.bmp", "c.png", "b.JPEG", "e.webp"]
    assert data.taught.labels.tolist() == [*plain.train.labels.tolist(), *[NO_LABEL] * 5]
    for split, start in ((data.train, 0), (data.unlabelled, 12)):
        for index in range(len(split)):
            assert torch.equal(data.taught[start + index], split[index])
            assert data.taught.describe(start + index) == split.describe(index)
            assert data.taught.size_of(start + index) == (40, 32)
    for name in ("train", "validation", "test"):
        assert getattr(data, name).digest() == getattr(plain, name).digest()
    assert data.fingerprint != plain.fingerprint
    assert data.taught.digest() != plain.taught.digest() == plain.train.digest()
    assert plain.taught is plain.untaught is plain.train
    assert any("12 labelled and 5 unlabelled images (more/)" in note for note in data.notes)
    assert data.unread == ("images without labels: 2 files not read: 1 .txt, 1 link to nowhere (gone.jpg)",)


def test_the_limit_of_training_images_is_one_for_those_without_labels_too(root: Path, more: Path) -> None:
    data = load_image_data("folder", path=root, unlabelled=more, limit_train=4)
    assert data.unlabelled is not None
    assert (len(data.train), len(data.unlabelled), len(data.taught)) == (4, 4, 8)
    assert data.unlabelled.labels.tolist() == [NO_LABEL] * 4
    assert any("4 labelled and 4 unlabelled images" in note for note in data.notes)


def test_students_without_a_teacher_see_the_labelled_ones_again_until_an_epoch_is_as_long(root, more) -> None:
    data = load(root, more)
    assert len(data.untaught) == len(data.taught) == 17
    times = torch.bincount(data.untaught.indices, minlength=12)
    assert sorted(times.tolist()) == [1] * 7 + [2] * 5
    assert sorted(torch.bincount(data.untaught.labels).tolist()) == [8, 9]  # a share of each class
    assert NO_LABEL not in data.untaught.labels


@pytest.mark.parametrize("place", ["train", "val/cat", "test"])
def test_an_image_of_the_data_set_is_found_under_any_name(root: Path, more: Path, place: str) -> None:
    role = {"train": "training", "val/cat": "validation", "test": "test"}[place]
    with pytest.raises(DataError, match=rf"data\.unlabelled: .* is one of the {role} images \(\d+ of \d+ here"):
        load(root, root / place)
    file = next((root / place).rglob("*.png"))
    (more / "z.png").symlink_to(file)
    with pytest.raises(DataError, match=rf"z\.png is one of the {role} images \(1 of 6 here"):
        load(root, more)
    (more / "z.png").unlink()
    (more / "z.png").hardlink_to(file)
    with pytest.raises(DataError, match=rf"z\.png is one of the {role} images \(1 of 6 here"):
        load(root, more)


def test_a_folder_of_nothing_and_grey_data_are_refused(root: Path, more: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no folder"):
        load(root, tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"holds no images that Pillow reads \(it is empty"):
        load(root, tmp_path / "empty")
    with pytest.raises(DataError, match="those of 'fashion_mnist_sample' have 1 channel"):
        load_image_data("fashion_mnist_sample", unlabelled=more)
