from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.image_files import write_folder
from tosmooth.data.registry import load_image_data
from tosmooth.errors import DataError

datasets = pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def _cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A data set with ClassLabel and Image columns, saved to disk by the library itself."""
    files = write_folder(tmp_path / "files", splits={"train": 8, "val": 3})
    features = datasets.Features({"picture": datasets.Image(), "kind": datasets.ClassLabel(names=["cat", "dog"])})

    def rows(split: str):
        paths = sorted((files / split).rglob("*.png"))
        return datasets.Dataset.from_dict(
            {"picture": [str(p) for p in paths], "kind": [int(p.parent.name == "dog") for p in paths]},
            features=features,
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


def test_a_plain_image_folder_through_the_library(tmp_path: Path):
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
    wild = (
        found["test"]
        .cast_column("kind", datasets.Value("int64"))
        .map(lambda row, i: {"kind": 7 if i == 2 else 0}, with_indices=True)
    )
    datasets.DatasetDict({"train": found["train"], "test": wild}).save_to_disk(str(tmp_path / "wild"))
    with pytest.raises(DataError, match=r"row 2 of the test split: label 7 is outside the 2 classes"):
        load_image_data("huggingface", path=tmp_path / "wild")


def test_a_local_folder_may_be_named_as_the_data_set(saved: Path):
    by_path, by_name = (
        load_image_data("huggingface", path=saved),
        load_image_data("huggingface", options={"dataset": str(saved)}),
    )
    assert by_path.fingerprint == by_name.fingerprint


def test_the_reader_for_a_folder_may_be_named(tmp_path: Path):
    write_folder(tmp_path / "plain", splits={"train": 6, "test": 3})
    data = load_image_data("huggingface", path=tmp_path / "plain", options={"dataset": "imagefolder"})
    assert (data.classes, len(data.test)) == (("cat", "dog"), 6)
    with pytest.raises(DataError, match=r"'mnist' and data\.path .* are two data sets; give one"):
        load_image_data("huggingface", path=tmp_path / "plain", options={"dataset": "mnist"})


def test_parquet_files(saved: Path, tmp_path: Path):
    (tmp_path / "parquet").mkdir()
    found = datasets.load_from_disk(str(saved))
    for name in ("train", "test"):
        found[name].to_parquet(tmp_path / "parquet" / f"{name}-00000-of-00001.parquet")
    data = load_image_data("huggingface", path=tmp_path / "parquet", validation=0)
    assert (data.classes, len(data.train)) == (("cat", "dog"), len(found["train"]))
    expected = load_image_data("huggingface", path=saved, validation=0)
    assert (data.test[1] == expected.test[1]).all()


def test_a_validation_split_without_a_test_split_is_the_test_split(saved: Path, tmp_path: Path):
    found = datasets.load_from_disk(str(saved))
    two = datasets.DatasetDict({"train": found["train"], "validation": found["test"]})
    two.save_to_disk(str(tmp_path / "two"))
    data = load_image_data("huggingface", path=tmp_path / "two", validation=0.25)
    assert len(data.test) == len(found["test"])
    assert len(data.validation) == len(found["train"]) // 4
    with pytest.raises(DataError, match="one split cannot serve twice"):
        load_image_data("huggingface", path=tmp_path / "two", options={"test_split": "train"})


def test_a_single_table_or_training_alone_is_parted_as_class_folders_are(saved: Path, tmp_path: Path):
    found = datasets.load_from_disk(str(saved))
    found["train"].save_to_disk(str(tmp_path / "table"))
    datasets.DatasetDict({"train": found["train"]}).save_to_disk(str(tmp_path / "one"))
    for name in ("table", "one"):
        data = load_image_data("huggingface", path=tmp_path / name, validation=0)
        assert (len(data.train), len(data.test)) == (13, 3)
        assert data.notes[0] == "test: 20 % of the rows of train, stratified, always the same"
    few = found["train"].select([*range(6), 8, 9])
    few.save_to_disk(str(tmp_path / "few"))
    with pytest.raises(DataError, match="class dog of the train split: fewer than 5 images"):
        load_image_data("huggingface", path=tmp_path / "few")


def with_labels(saved: Path, target: Path, kind, train: list, test: list, names: dict[str, str] | None = None) -> Path:
    """The pictures with other labels; `names` renames splits."""
    found, parts = datasets.load_from_disk(str(saved)), {}
    for split, labels in (("train", train), ("test", test)):
        rows = found[split].remove_columns("kind").select(range(len(labels)))
        parts[(names or {}).get(split, split)] = rows.add_column("label", labels, feature=kind)
    datasets.DatasetDict(parts).save_to_disk(str(target))
    return target


@pytest.mark.parametrize(
    ("kind", "train", "test", "classes", "labels"),
    [
        ("string", ["dog", "cat", "dog"], ["cat", "dog"], ("cat", "dog"), [0, 1]),
        ("int64", [1, 2, 3], [3, 1], ("1", "2", "3"), [2, 0]),
        ("int32", [7, 30, 7], [30], ("7", "30"), [1]),
        ("int8", [-1, 1, 1], [-1], ("-1", "1"), [0]),
        ("bool", [True, False], [True], ("False", "True"), [1]),
        ("uint8", [0, 2], [2, 0], ("0", "2"), [1, 0]),
    ],
)
def test_labels_are_names_or_any_whole_numbers(saved: Path, tmp_path: Path, kind, train, test, classes, labels):
    path = with_labels(saved, tmp_path / "other", datasets.Value(kind), train, test)
    data = load_image_data("huggingface", path=path, validation=0)
    assert data.classes == classes
    assert data.test.labels.tolist() == labels
    assert [data.classes[label] for label in data.train.labels] == [str(label) for label in train]


def test_a_label_that_training_lacks_is_named(saved: Path, tmp_path: Path):
    path = with_labels(saved, tmp_path / "names", datasets.Value("string"), ["dog", "cat"], ["cat", "dogs"])
    with pytest.raises(DataError, match=r"row 1 of the test split: label 'dogs' is not among .*did you mean 'dog'"):
        load_image_data("huggingface", path=path, validation=0)
    path = with_labels(saved, tmp_path / "numbers", datasets.Value("int64"), [1, 3], [2])
    with pytest.raises(
        DataError, match=r"row 0 of the test split: label 2 is outside the 2 classes of training \(1, 3\)"
    ):
        load_image_data("huggingface", path=path, validation=0)
    path = with_labels(saved, tmp_path / "shares", datasets.Value("float32"), [0.5, 1.5], [0.5])
    with pytest.raises(DataError, match=r"column 'label' of the train split: expected names .* found 0\.5"):
        load_image_data("huggingface", path=path, options={"label_column": "label"})


def test_declared_classes_without_images_are_left_out_and_named(saved: Path, tmp_path: Path):
    kind = datasets.ClassLabel(names=["ant", "bee", "cat", "dog"])
    path = with_labels(saved, tmp_path / "declared", kind, [3, 1, 3], [1, 3])
    data = load_image_data("huggingface", path=path, validation=0)
    assert data.classes == ("bee", "dog")
    assert data.test.labels.tolist() == [0, 1]
    assert data.unread == ("2 declared classes without a training image left out: ant, cat",)
    path = with_labels(saved, tmp_path / "wanted", kind, [3, 1, 3], [1, 2])
    with pytest.raises(DataError, match="row 1 of the test split: label 'cat' is of no training image"):
        load_image_data("huggingface", path=path, validation=0)


@pytest.mark.parametrize("kind", [datasets.ClassLabel(names=["cat", "dog"]), datasets.Value("int64")])
def test_a_test_split_without_labels_is_left_out_and_named(saved: Path, tmp_path: Path, kind):
    path = with_labels(saved, tmp_path / "blind", kind, [0, 1] * 5, [-1] * 4)
    data = load_image_data("huggingface", path=path, validation=0)
    assert (len(data.train), len(data.test)) == (8, 2)
    assert data.unread == ("the test split left out: its 4 rows have no labels",)
    with pytest.raises(DataError, match="row 0"):
        load_image_data("huggingface", path=path, options={"test_split": "test"})


def test_splits_are_known_by_their_usual_names(saved: Path, tmp_path: Path):
    kind = datasets.Value("int64")
    path = with_labels(saved, tmp_path / "named", kind, [0, 1], [1], {"train": "Training", "test": "valid"})
    data = load_image_data("huggingface", path=path, validation=0)
    assert (len(data.train), len(data.test)) == (2, 1)


def test_other_classes_in_test_and_labels_that_are_missing_or_words(saved: Path, tmp_path: Path):
    found = datasets.load_from_disk(str(saved))

    def failure(name: str, test) -> str:
        datasets.DatasetDict({"train": found["train"], "test": test}).save_to_disk(str(tmp_path / name))
        with pytest.raises(DataError) as caught:
            load_image_data("huggingface", path=tmp_path / name)
        return str(caught.value)

    swapped = found["test"].cast_column("kind", datasets.ClassLabel(names=["dog", "cat"]))
    assert "the test split has other classes than train" in failure("swapped", swapped)
    holes = found["test"].map(lambda row, i: {"kind": None if i == 1 else row["kind"]}, with_indices=True)
    assert "row 1 has no label" in failure("holes", holes)
    words = found["test"].cast_column("kind", datasets.Value("string"))
    assert "row 0 of the test split: label '0' is not among the classes of training" in failure("words", words)
    assert "the test split has no column 'kind', which train has" in failure(
        "none", found["test"].remove_columns("kind")
    )


def test_an_empty_cell_is_named(saved: Path, tmp_path: Path):
    found = datasets.load_from_disk(str(saved))
    holes = found["test"].map(lambda row, i: {"picture": None if i == 1 else row["picture"]}, with_indices=True)
    datasets.DatasetDict({"train": found["train"], "test": holes}).save_to_disk(str(tmp_path / "holes"))
    data = load_image_data("huggingface", path=tmp_path / "holes")
    with pytest.raises(DataError, match="row 1 of the test split: no image in column 'picture'"):
        data.test[1]
