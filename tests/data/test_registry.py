from __future__ import annotations

import pytest
import torch

from tosmooth.data.base import RawImages, TensorSplit
from tosmooth.data.registry import IMAGE_SOURCES, image_sources, load_image_data, register_image_source
from tosmooth.errors import DataError


def test_the_embedded_sample():
    data = load_image_data("fashion_mnist_sample", validation=0.1)
    assert (len(data.train), len(data.validation), len(data.test)) == (10_800, 1_200, 5_000)
    assert data.test.labels.bincount().tolist() == [500] * 10
    assert data.validation.labels.bincount().tolist() == [120] * 10
    assert data.train[0].shape == (1, 28, 28)
    assert data.train[0].dtype == torch.uint8
    # Real clothes: bright in the middle, empty at the border; an ankle boot is taller at one side than a sandal.
    images = torch.stack([data.test[i] for i in range(500)]).float()
    assert images[:, :, 10:18, 10:18].mean() > 3 * images[:, :, :2].mean()


def test_same_seed_same_split_other_seed_other_split():
    one, same, other = (
        load_image_data("fashion_mnist_sample", limit_train=500, limit_test=50, split_seed=seed) for seed in (0, 0, 1)
    )
    assert one.fingerprint == same.fingerprint != other.fingerprint
    assert one.num_classes == 10
    assert "limited to 500 training images, stratified" in one.notes


def test_validation_zero_is_empty():
    data = load_image_data("fashion_mnist_sample", validation=0, limit_train=100, limit_test=20)
    assert (len(data.train), len(data.validation)) == (100, 0)
    assert any("none" in note for note in data.notes)


@pytest.mark.parametrize(("validation", "reason"), [(0.001, "is none"), (0.96, "takes all training images of class")])
def test_a_validation_share_that_does_not_work(validation, reason):
    with pytest.raises(DataError, match=reason):
        load_image_data("fashion_mnist_sample", validation=validation, limit_train=100, limit_test=20)


def test_each_source_that_comes_along_is_in_the_module_that_its_name_leads_to():
    for name in image_sources():
        assert callable(IMAGE_SOURCES.find(name))
    with pytest.raises(DataError, match="'folder' is registered already"):
        register_image_source("folder")(lambda request: None)


def test_a_users_source_and_its_mistakes():
    def raw(labels: list[int]) -> RawImages:
        split = TensorSplit(torch.zeros(len(labels), 1, 8, 8, dtype=torch.uint8), torch.tensor(labels), "train")
        return RawImages(split, split, ("a", "b", "c"))

    register_image_source("mine-good")(lambda request: raw([0, 1, 2] * 10))
    register_image_source("mine-empty-class")(lambda request: raw([0, 1] * 10))
    register_image_source("mine-outside")(lambda request: raw([0, 1, 2, 3]))
    assert "mine-good" in image_sources()
    assert load_image_data("mine-good").classes == ("a", "b", "c")
    with pytest.raises(DataError, match="no image of 1 classes: c"):
        load_image_data("mine-empty-class")
    with pytest.raises(DataError, match=r"row 3 of the train split: label 3 is outside the 3 classes"):
        load_image_data("mine-outside")
    with pytest.raises(DataError, match="registered already"):
        register_image_source("mine-good")(lambda request: raw([0]))


def test_unknown_names_and_options():
    with pytest.raises(DataError, match="did you mean 'cifar10'"):
        load_image_data("cifar11")
    with pytest.raises(DataError, match="takes none"):
        load_image_data("fashion_mnist_sample", options={"colour": True})


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"limit_train": 7}, r"data\.limit_train: 7 of 12000 images leaves class '.+' without one; raise it"),
        ({"limit_train": 0}, r"data\.limit_train: 0 is not a number of images"),
        ({"limit_test": -1}, r"data\.limit_test: -1 is not a number of images"),
    ],
)
def test_limits_that_do_not_work(limits, reason):
    with pytest.raises(DataError, match=reason):
        load_image_data("fashion_mnist_sample", **limits)


def test_a_limit_above_the_number_of_images_limits_nothing():
    data = load_image_data("fashion_mnist_sample", limit_test=5_001)
    assert len(data.test) == 5_000
    assert not any("limited" in note for note in data.notes)


def test_limits_keep_the_shares_of_the_classes():
    data = load_image_data("fashion_mnist_sample", validation=0.2, limit_train=500, limit_test=100)
    assert data.train.labels.bincount().tolist() == [40] * 10
    assert data.validation.labels.bincount().tolist() == [10] * 10
    assert data.test.labels.bincount().tolist() == [10] * 10


def test_one_class_is_no_classification():
    split = TensorSplit(torch.zeros(3, 1, 8, 8, dtype=torch.uint8), torch.zeros(3, dtype=torch.int64), "train")
    register_image_source("mine-one-class")(lambda request: RawImages(split, split, ("a",)))
    with pytest.raises(DataError, match="needs at least 2"):
        load_image_data("mine-one-class")
