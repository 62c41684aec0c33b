"""Views that are stored as pixels are those that are made live, whatever shows them."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.data.image_files import write_image
from tosmooth.config.schema import DataConfig
from tosmooth.data import pixel_store
from tosmooth.data.augmented import ViewPixels
from tosmooth.data.base import ImageSplit, Joined, TensorSplit
from tosmooth.data.files import FileSplit
from tosmooth.data.pipeline import ImagePipeline
from tosmooth.data.pixel_store import PixelStore, Stamp
from tosmooth.data.views import EachView, FreshViews, StoredViews
from tosmooth.errors import DataError

VIEWS = EachView(3, 7)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixel_store, "SHARD_IMAGES", 4)  # does not end where an image's views end


@pytest.fixture
def files(tmp_path: Path) -> FileSplit:
    """Images of one size, as shifted crops want them; one is cut off."""
    paths = [write_image(tmp_path / "images" / f"{number}.png", size=(32, 32), seed=number) for number in range(6)]
    paths[4].write_bytes(paths[4].read_bytes()[:200])
    return FileSplit(paths, [number % 2 for number in range(6)], tmp_path / "images")


def viewed(split: ImageSplit, twin: ImageSplit, pipeline: ImagePipeline, folder: Path, channels: int = 3) -> ImageSplit:
    """The twin of a split, with its views in a store."""
    images = pipeline.all_views(split, VIEWS)
    store = PixelStore(folder, Stamp("", "", len(images)), channels=channels, off="")
    with store.filling():
        made: Iterator[Tensor | DataError] = chain.from_iterable(
            images[request] for number in store.missing for request in images.requests(*ends(store.places_of(number)))
        )
        for number in store.missing:
            store.write(number, made)
    twin.stored = ViewPixels(PixelStore(folder, store.stamp, channels=channels, off=""), VIEWS)
    return twin


def ends(places: list[int]) -> tuple[int, int]:
    return places[0], places[-1] + 1


@pytest.mark.parametrize(
    ("name", "further", "workers"),
    [("none", "none", 0), ("flip", "none", 0), ("crop_flip", "none", 2), ("gentle_crop", "none", 0),
     ("cub", "trivialaugment", 0)],
)  # fmt: skip
def test_stored_views_are_those_made_live(
    files: FileSplit, tmp_path: Path, name: str, further: str, workers: int
) -> None:
    config = DataConfig(
        train_augmentation=name, auto_augment=further, image_size=32, workers=workers, on_error="skip",
        random_erasing=0.5 if further != "none" else 0.0,
    )  # fmt: skip
    pipeline = ImagePipeline(config, torch.device("cpu"))
    twin = viewed(files, FileSplit(files.paths, files.labels.tolist(), files.root), pipeline, tmp_path / "store")
    for path in files.paths[:2]:
        path.rename(path.with_suffix(".away"))  # of these there is nothing but pixels
    stored = list(pipeline.training(twin, batch_size=4, seed=1, views=StoredViews(3, 7, 1)).epoch(0))
    for path in files.paths[:2]:
        path.with_suffix(".away").rename(path)
    live = list(pipeline.training(files, batch_size=4, seed=1, views=StoredViews(3, 7, 1)).epoch(0))
    for epoch in range(3):
        stored += pipeline.in_order(twin, batch_size=4, views=VIEWS).epoch(epoch)
        live += pipeline.in_order(files, batch_size=4, views=VIEWS).epoch(epoch)
    assert len(stored) == len(live) == 8
    for one, other in zip(stored, live, strict=True):
        assert torch.equal(one.inputs, other.inputs)
        assert one.inputs.stride() == other.inputs.stride()
        assert torch.equal(one.indices, other.indices)
        assert torch.equal(one.views, other.views)
    assert any("4.png" in line for line in pipeline.unreadable)


def test_grey_images_in_memory_and_joined_splits_can_be_stored(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    halves = [
        TensorSplit(torch.randint(256, (5, 1, 9, 9), dtype=torch.uint8, generator=generator), torch.zeros(5), "train")
        for _ in range(2)
    ]
    pipeline = ImagePipeline(DataConfig(train_augmentation="imagenet", image_size=8), torch.device("cpu"))
    twin = viewed(Joined(*halves), Joined(*halves), pipeline, tmp_path / "store", channels=1)
    for epoch in range(3):
        stored, live = (pipeline.in_order(split, batch_size=4, views=VIEWS) for split in (twin, Joined(*halves)))
        for one, other in zip(stored.epoch(epoch), live.epoch(epoch), strict=True):
            assert torch.equal(one.inputs, other.inputs)


def test_other_views_are_not_served(files: FileSplit, tmp_path: Path) -> None:
    pixels = ViewPixels(PixelStore(tmp_path, Stamp("", "", 18), off=""), VIEWS)
    assert pixels.serves(VIEWS)
    assert pixels.serves(StoredViews(3, 7, 5))  # of whatever student
    for other in (FreshViews(7), EachView(2, 7), EachView(3, 6), StoredViews(3, 6, 7)):
        assert not pixels.serves(other)


def test_an_image_is_read_once_for_all_its_views(files: FileSplit) -> None:
    pipeline = ImagePipeline(DataConfig(train_augmentation="gentle_crop", image_size=8), torch.device("cpu"))
    images = pipeline.all_views(files, VIEWS)
    assert images.requests(0, 18) == [range(start, start + 3) for start in range(0, 18, 3)]
    assert images.requests(4, 8) == [range(4, 6), range(6, 8)]
    assert images.requests(7, 8) == [range(7, 8)]
    assert [type(view) for view in images[range(12, 14)]] == [DataError, DataError]
    known = images[range(4, 6)]
    again = pickle.loads(pickle.dumps(images))[range(4, 6)]  # as a loader process that is started anew has it
    assert all(torch.equal(one, other) for one, other in zip(known, again, strict=True))
