"""Files of a teacher's outputs: each image gets its own row, or it is said why not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tosmooth.data.base import ImageData
from tosmooth.data.registry import load_image_data
from tosmooth.data.teacher_outputs import digest_of, read_outputs
from tosmooth.errors import DataError

CLASSES = ("cat", "dog", "owl")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> ImageData:
    """Images whose file names repeat from class to class, and from split to split."""
    root = tmp_path_factory.mktemp("images")
    for split, count in (("train", 4), ("val", 2), ("test", 2)):
        for name in CLASSES:
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                Image.new("RGB", (4, 4)).save(root / split / name / f"{number}.png")
    return load_image_data("folder", path=root)


@pytest.fixture(scope="module")
def rows() -> ImageData:
    """Images that are no files: validation is split off training, and both are in another order than the source's."""
    return load_image_data("fashion_mnist_sample", limit_train=60, validation=0.2)


def names_of(split: Any) -> list[str]:
    return [path.relative_to(split.root).as_posix() for path in split.paths]


def all_names(data: ImageData) -> list[str]:
    return [name for split in (data.train, data.validation, data.test) for name in names_of(split)]


def logits_for(names: list[str], width: int = 3, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(size=(len(names), width)).astype(np.float32)


def save(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def test_rows_go_by_name_in_any_order(folder, tmp_path):
    names = all_names(folder)
    logits = logits_for(names)
    mixed = np.random.default_rng(1).permutation(len(names))
    file = save(tmp_path / "a.npz", logits=logits[mixed], names=np.array(names)[mixed])
    found = read_outputs([file], folder, "probabilities")
    by_name = dict(zip(names, logits, strict=True))
    splits = (folder.train, found.train), (folder.validation, found.validation), (folder.test, found.test)
    for split, own in splits:
        assert own is not None
        np.testing.assert_array_equal(own.numpy(), [by_name[name] for name in names_of(split)])
    assert found.unused == 0


def test_an_end_of_a_path_is_enough_where_it_is_one_images_alone(folder, tmp_path):
    names = names_of(folder.train)
    logits = logits_for([*names, "x"])
    file = save(tmp_path / "a.npz", logits=logits, names=np.array([*(f"./{name}" for name in names), "other/9.png"]))
    found = read_outputs([file], folder, "probabilities")
    np.testing.assert_array_equal(found.train.numpy(), logits[:-1])
    assert (found.validation, found.test, found.unused) == (None, None, 1)
    short = [name.removeprefix("train/") for name in names]
    file = save(tmp_path / "b.npz", logits=logits[:-1], names=np.array(short))
    message = re.escape("'cat/0.png' names several images, train/cat/0.png and val/cat/0.png")
    with pytest.raises(DataError, match=message):
        read_outputs([file], folder, "probabilities")


def test_rows_without_names_are_those_of_the_sources_training_images(rows, tmp_path):
    logits = logits_for([""] * 12_000, 10)
    found = read_outputs([save(tmp_path / "a.npz", logits=logits)], rows, "probabilities")
    for split, own in ((rows.train, found.train), (rows.validation, found.validation)):
        places = split.split.indices[split.indices]  # of the limited choice among the source's images
        assert own is not None
        np.testing.assert_array_equal(own.numpy(), logits[places.numpy()])
    assert found.test is None
    with pytest.raises(DataError, match="48 rows without names, and the source has 12000 training images"):
        read_outputs([save(tmp_path / "b.npz", logits=logits[:48])], rows, "probabilities")
    file = save(tmp_path / "c.npz", logits=logits[:48], names=np.array([str(i) for i in range(48)]))
    with pytest.raises(DataError, match="has names, but the images of this source are no files"):
        read_outputs([file], rows, "probabilities")


def test_columns_that_are_named_may_be_in_any_order(folder, tmp_path):
    names = names_of(folder.train)
    logits = logits_for(names)
    file = save(
        tmp_path / "a.npz", logits=logits[:, [2, 0, 1]], names=np.array(names), classes=np.array(["owl", "cat", "dog"])
    )
    np.testing.assert_array_equal(read_outputs([file], folder, "logits").train.numpy(), logits)
    file = save(tmp_path / "b.npz", logits=logits, names=np.array(names), classes=np.array(["owl", "cat", "cow"]))
    with pytest.raises(DataError, match=r"classes are not the data's: 'cow'"):
        read_outputs([file], folder, "logits")


def test_several_files_are_averaged_as_said(folder, tmp_path):
    names = names_of(folder.train)
    first, second = logits_for(names, seed=1), logits_for(names, seed=2)
    second_p = torch.from_numpy(second).softmax(1).numpy()
    files = [
        save(tmp_path / "a.npz", logits=first, names=np.array(names)),
        save(tmp_path / "b.npz", probabilities=second_p[::-1], names=np.array(names[::-1])),
    ]
    mean = (torch.from_numpy(first).softmax(1) + torch.from_numpy(second_p)) / 2
    found = read_outputs(files, folder, "probabilities")
    torch.testing.assert_close(found.train.softmax(1), mean)
    in_logits = read_outputs(files, folder, "logits").train
    expected = (torch.from_numpy(first).log_softmax(1) + torch.from_numpy(second_p).log()) / 2
    torch.testing.assert_close(in_logits.softmax(1), expected.softmax(1))
    assert len(found.members) == 2


def test_a_probability_of_zero_is_the_least_that_its_precision_holds(folder, tmp_path):
    names = names_of(folder.train)
    small = np.float16(1e-6)  # below the smallest normal number, which it holds all the same
    values = np.tile(np.array([1, 0, small], dtype=np.float16), (len(names), 1))
    found = read_outputs([save(tmp_path / "a.npz", probabilities=values, names=np.array(names))], folder, "logits")
    assert found.train[0].tolist() == pytest.approx([0, np.log(2.0**-24), np.log(float(small))])


def bad(**changes: Any) -> dict[str, Any]:
    return changes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (bad(logits=None), "must hold either logits or probabilities, .* found 'names'"),
        (bad(probabilities=np.full((12, 3), 1 / 3)), "must hold either logits or probabilities"),
        (bad(logits=np.zeros((12, 4))), "of 4 classes, and the data have 3"),
        (bad(logits=np.zeros((12, 3), dtype=np.int64)), "must be floating point numbers"),
        (bad(logits=np.full((12, 3), np.nan)), r"must be finite; those of row 0 are not \(12 such rows\)"),
        (bad(logits=np.full((12, 3), 1 / 3)), "call them probabilities"),
        (bad(logits=np.full((12, 3), 1e300)), "beyond what single precision holds"),
        (bad(logits=None, probabilities=np.full((12, 3), 0.5)), r"row 0 sum to 1\.5, .* must be from 0 to 1"),
        (bad(logits=None, probabilities=np.tile([1.5, -0.5, 0.0], (12, 1))), "the least is -0.5"),
        (bad(names=None), "has no names, and the order of image files is nobody's"),
        (bad(names=np.arange(12)), r"names int64 \(12,\) must be texts, \(12,\)"),
        (bad(names=np.array(["a"])), r"must be texts, \(12,\)"),
        (bad(names=np.array(["a"] * 12)), "'a' is there more than once"),
        (bad(names=np.array([f"x/{i}.png" for i in range(12)])), "no row for 12 of 12 training images, such as train/"),
        (bad(names=np.array(["a", None], dtype=object)), "names are texts, as np.array"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(folder, tmp_path, changes, message):
    names = names_of(folder.train)
    arrays = {"logits": logits_for(names), "names": np.array(names), **changes}
    file = save(tmp_path / "a.npz", **{key: value for key, value in arrays.items() if value is not None})
    with pytest.raises(DataError, match=message):
        read_outputs([file], folder, "probabilities")


def test_an_image_with_two_rows_is_refused(folder, tmp_path):
    names = [*names_of(folder.train), "cat/3.png"]  # which is train's alone
    file = save(tmp_path / "a.npz", logits=logits_for(names), names=np.array(names))
    with pytest.raises(DataError, match=r"train/cat/3\.png has several rows: train/cat/3\.png and cat/3\.png"):
        read_outputs([file], folder, "probabilities")


def test_files_that_are_none(folder, tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_outputs([tmp_path / "none.npz"], folder, "logits")
    (tmp_path / "a.npz").write_bytes(b"PK nothing")
    with pytest.raises(DataError, match="may be damaged"):
        read_outputs([tmp_path / "a.npz"], folder, "logits")
    with pytest.raises(DataError, match="cannot be read"):
        digest_of([tmp_path / "none.npz"])
