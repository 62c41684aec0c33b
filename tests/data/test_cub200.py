from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.image_files import write_cub
from tosmooth.data.registry import load_image_data
from tosmooth.errors import DataError


def test_the_layout_is_read_with_its_split_and_super_classes(tmp_path: Path):
    data = load_image_data("cub200", path=write_cub(tmp_path), validation=0)
    assert data.classes == ("Black footed Albatross", "Laysan Albatross", "Hooded Warbler", "Pine Warbler")
    assert data.superclasses == ("Albatross", "Albatross", "Warbler", "Warbler")
    assert (len(data.train), len(data.validation), len(data.test)) == (20, 0, 8)
    assert data.train.describe(0).endswith("001.Black_footed_Albatross/0.jpg")
    assert data.train[0].shape == (3, 32, 40)


def replace(name: str, old: str, new: str):
    def change(root: Path) -> None:
        path = root / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    return change


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (lambda root: (root / "classes.txt").unlink(), r"classes\.txt: missing"),
        (replace("images.txt", "3 001", "three 001"), r"images\.txt, line 3: expected 'number text'"),
        (replace("images.txt", "3 001", "2 001"), r"images\.txt, line 3: number 2 stands there twice"),
        (replace("image_class_labels.txt", "5 1\n", ""), r"image_class_labels\.txt: no line for image 5"),
        (replace("image_class_labels.txt", "5 1\n", "5 one\n"), r"image 5 has 'one', expected a whole number"),
        (replace("image_class_labels.txt", "5 1\n", "5 9\n"), r"image 5 has class 9, which classes\.txt does not list"),
        (replace("image_class_labels.txt", "5 1\n", "5 ²\n"), r"image_class_labels\.txt, line 5: image 5 has '²'"),
        (replace("image_class_labels.txt", "5 1\n", "99 1\n5 1\n"), r"line 5: image 99 is not in images\.txt"),
        (
            replace("train_test_split.txt", "5 1\n", "5 2\n"),
            r"_split\.txt, line 5: image 5 has 2, expected 0 or 1",
        ),
        (lambda root: (root / "images" / "003.Hooded_Warbler" / "1.jpg").unlink(), r"1\.jpg: no such image"),
        (lambda root: (root / "classes.txt").write_text(" \n"), r"classes\.txt: empty"),
        (lambda root: (root / "classes.txt").write_bytes(b"1 caf\xe9"), r"classes\.txt: not readable as text"),
        (replace("images.txt", "5 001.Black_footed_Albatross/4.jpg", "5 ../../etc/passwd"), "outside images/"),
    ],
)
def test_broken_layouts_name_file_and_line(tmp_path: Path, break_it, reason):
    write_cub(tmp_path)
    break_it(tmp_path)
    with pytest.raises(DataError, match=reason):
        load_image_data("cub200", path=tmp_path)


def test_the_folder_it_was_unpacked_into_will_do(tmp_path: Path):
    write_cub(tmp_path / "CUB_200_2011")
    assert len(load_image_data("cub200", path=tmp_path, validation=0).train) == 20


def test_a_species_without_training_images(tmp_path: Path):
    write_cub(tmp_path)
    path = tmp_path / "train_test_split.txt"
    path.write_text("".join(f"{n} {int(n > 7 and n % 7 < 6)}\n" for n in range(1, 29)), encoding="utf-8")
    with pytest.raises(DataError, match="no image of 1 classes: Black footed Albatross"):
        load_image_data("cub200", path=tmp_path)
