from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.data.image_files import write_folder, write_image
from tosmooth.data.augmentation import eval_transform, train_transform
from tosmooth.data.base import TensorSplit
from tosmooth.data.batches import Batch, SeededBatches
from tosmooth.data.registry import load_image_data
from tosmooth.errors import DataError


def numbered(count: int) -> TensorSplit:
    images = torch.randint(0, 256, (count, 3, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return TensorSplit(images, torch.arange(count) % 3, "train")


def equal(one: list[Batch], other: list[Batch]) -> bool:
    return len(one) == len(other) and all(
        torch.equal(x, y) for a, b in zip(one, other, strict=True) for x, y in zip(a, b, strict=True)
    )


def test_an_epoch_holds_every_image_once_with_its_label():
    split = numbered(23)
    for shuffle in (False, True):
        batches = list(SeededBatches(split, train_transform("none", None), batch_size=5, shuffle=shuffle).epoch(0))
        assert [len(batch.labels) for batch in batches] == [5, 5, 5, 5, 3]
        indices = torch.cat([batch.indices for batch in batches])
        assert sorted(indices.tolist()) == list(range(23))
        assert (indices.tolist() == list(range(23))) != shuffle
        assert torch.equal(torch.cat([batch.images for batch in batches]), split.images[indices])
        assert torch.equal(torch.cat([batch.labels for batch in batches]), split.labels[indices])


def test_batches_depend_on_seed_and_epoch_and_nothing_else():
    split, transform = numbered(40), train_transform("crop_flip", 12)

    def epoch(seed: int, number: int, *, after: int = 0) -> list[Batch]:
        batches = SeededBatches(split, transform, batch_size=8, seed=seed, shuffle=True)
        for earlier in range(after):
            list(batches.epoch(earlier))
        torch.rand(after + 3)  # the global stream has no say
        return list(batches.epoch(number))

    assert equal(epoch(1, 2), epoch(1, 2, after=2))
    assert not equal(epoch(1, 2), epoch(1, 3))
    assert not equal(epoch(1, 2), epoch(2, 2))


def test_starting_in_the_middle_gives_the_rest_of_the_epoch():
    batches = SeededBatches(numbered(40), train_transform("crop_flip", 12), batch_size=8, seed=4, shuffle=True)
    assert equal(list(batches.epoch(3, start=2)), list(batches.epoch(3))[2:])
    assert len(batches) == 5


def test_the_global_stream_is_left_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    list(SeededBatches(numbered(20), train_transform("crop_flip", 12), batch_size=4, shuffle=True).epoch(0))
    assert torch.equal(torch.rand(3), expected)


def test_worker_processes_give_the_same_batches():
    here, workers = (
        SeededBatches(numbered(30), train_transform("crop_flip", 12), batch_size=7, seed=5, shuffle=True, workers=n)
        for n in (0, 2)
    )
    for epoch in (0, 1):
        assert equal(list(here.epoch(epoch)), list(workers.epoch(epoch)))


@pytest.mark.parametrize(
    ("count", "shuffle", "drop_last", "sizes"),
    [
        (9, True, False, [4, 4]),  # a training batch of one image breaks batch normalisation
        (9, False, False, [4, 4, 1]),  # evaluation leaves out nothing
        (10, True, True, [4, 4]),
        (3, True, True, [3]),
        (1, True, False, [1]),
        (0, False, False, []),
    ],
)
def test_the_last_batch(count, shuffle, drop_last, sizes):
    batches = SeededBatches(
        numbered(count), train_transform("none", None), batch_size=4, shuffle=shuffle, drop_last=drop_last
    )
    assert [len(batch.labels) for batch in batches.epoch(0)] == sizes
    assert len(batches) == len(sizes)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_image_is_named_from_worker_processes_too(tmp_path: Path, workers):
    write_folder(tmp_path)
    (tmp_path / "train" / "cat" / "1.png").write_bytes(b"damaged")
    data = load_image_data("folder", path=tmp_path, validation=0)
    batches = SeededBatches(data.train, eval_transform("resize_center_crop", 24), batch_size=4, workers=workers)
    with pytest.raises(DataError, match=r"cat/1\.png: not readable"):
        list(batches.epoch(0))


def test_images_of_different_size_say_what_to_set(tmp_path: Path):
    write_folder(tmp_path)
    write_image(tmp_path / "train" / "cat" / "big.png", size=(64, 64))
    data = load_image_data("folder", path=tmp_path, validation=0)
    with pytest.raises(DataError, match=r"differ in size.*resize_center_crop"):
        list(SeededBatches(data.train, eval_transform("none", None), batch_size=20).epoch(0))
