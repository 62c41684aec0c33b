from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.image_files import write_folder
from tosmooth.data.registry import load_image_data
from tosmooth.errors import DataError

datasets = pytest.importorskip("datasets")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A data set with ClassLabel and Image columns, saved to disk by the library itself."""
    files = write_folder(tmp_path / "files", splits={"train": 8, "val": 3})
    features = datasets.Features({"picture": datasets.Image(), "kind": datasets.ClassLabel(names=["cat", "dog"])})

    def rows(split: str):
        paths = sorted((files / split).rglob("*.png"))
        return datasets.Dataset.from_dict(
            {"picture": [str(p) for p in paths], "kind": [int(p.parent.name == "dog") for p in paths]}, features=features
        )

    target = tmp_path / "saved"
    datasets.DatasetDict({"train": rows("train"), "test": rows("val")}).save_to_disk(str(target))
    return target


def test_a_saved_data_set_is_read_with_its_class_names(saved: Path):
    data = load_image_data("huggingface", path=saved, validation=0.25)
    assert data.classes == ("cat", "dog")
    assert (len(data.train), len(data.validation), len(data.test)) == (12, 4, 6)
    assert data.train[0].shape == (3, 32, 40)
    assert data.test.describe(2) == "row 2 of the test split"


def test_a_plain_image_folder_through_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    write_folder(tmp_path / "plain", splits={"train": 6, "validation": 2, "test": 3})
    data = load_image_data("huggingface", path=tmp_path / "plain")
    assert (len(data.train), len(data.validation), len(data.test)) == (12, 4, 6)
    assert data.classes == ("cat", "dog")
    assert data.train[0].shape == (3, 32, 40)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"image_colum": "picture"}, "did you mean 'image_column'"),
        ({"image_column": "pictures"}, "did you mean 'picture'"),
        ({"image_column": "kind"}, "does not hold images"),
        ({"label_column": "species"}, "no column 'species'"),
        ({"test_split": "tset"}, "did you mean 'test'"),
    ],
)
def test_wrong_options(saved: Path, options, reason):
    with pytest.raises(DataError, match=reason):
        load_image_data("huggingface", path=saved, options=options)


def test_neither_name_nor_path():
    with pytest.raises(DataError, match=r"data\.options\.dataset"):
        load_image_data("huggingface")


def test_what_is_no_data_set(tmp_path: Path):
    with pytest.raises(DataError, match="cannot be loaded as a data set"):
        load_image_data("huggingface", path=tmp_path)


def test_a_row_that_does_not_decode_is_named(saved: Path, tmp_path: Path):
    found = datasets.load_from_disk(str(saved))
    features = found["train"].features
    rows = [{"picture": {"bytes": b"no image", "path": None}, "kind": i % 2} for i in range(4)]
    broken = datasets.Dataset.from_list(rows, features=features)
    datasets.DatasetDict({"train": found["train"], "test": broken}).save_to_disk(str(tmp_path / "broken"))
    data = load_image_data("huggingface", path=tmp_path / "broken")
    with pytest.raises(DataError, match="row 1 of the test split"):
        data.test[1]


def test_labels_outside_the_classes(saved: Path, tmp_path: Path):
    found = datasets.load_from_disk(str(saved))
    wild = found["test"].cast_column("kind", datasets.Value("int64")).map(lambda row, i: {"kind": 7 if i == 2 else 0}, with_indices=True)
    datasets.DatasetDict({"train": found["train"], "test": wild}).save_to_disk(str(tmp_path / "wild"))
    with pytest.raises(DataError, match=r"row 2 of the test split: label 7 is outside the 2 classes"):
        load_image_data("huggingface", path=tmp_path / "wild")
