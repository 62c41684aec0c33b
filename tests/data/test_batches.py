from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.data.image_files import write_image
from tosmooth.data.augmentation import train_transform
from tosmooth.data.base import ImageSplit, Subset, TensorSplit
from tosmooth.data.batches import Batch, Batches, ResidentBatches, SeededBatches
from tosmooth.data.files import FileSplit
from tosmooth.data.views import EachView, StoredViews, ViewSchedule, outcomes_of
from tosmooth.errors import DataError


def split_of(count: int) -> TensorSplit:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (count, 1, 8, 8), dtype=torch.uint8, generator=generator)
    return TensorSplit(images, torch.arange(count) % 3, "train")


def batches_of(count: int = 22, **options: object) -> SeededBatches:
    return SeededBatches(
        split_of(count), train_transform("crop_flip", 8), **{"batch_size": 5, "shuffle": True, **options}
    )  # type: ignore[arg-type]


def resident_of(split: ImageSplit, augmentation: str = "crop_flip", **options: object) -> ResidentBatches:
    outcomes, held = outcomes_of(augmentation, 8, (8, 8)), split.in_memory()
    assert outcomes is not None
    assert held is not None
    return ResidentBatches(*held[:1], split.labels, held[1], outcomes, **{"batch_size": 5, "shuffle": True, **options})  # type: ignore[arg-type]


def parts(batch: Batch) -> list[object]:
    """Its fields; the numbers that it has on the host are those of its tensors."""
    if batch.on_host is not None:
        indices, views = batch.on_host
        assert indices.tolist() == batch.indices.tolist()
        assert (None if views is None else views.tolist()) == (None if batch.views is None else batch.views.tolist())
    return [*batch._replace(on_host=None), batch.on_host is None]


def same(first: list[Batch], second: list[Batch]) -> bool:
    return len(first) == len(second) and all(
        torch.equal(a, b) if isinstance(a, Tensor) and isinstance(b, Tensor) else a == b
        for x, y in zip(first, second, strict=True)
        for a, b in zip(parts(x), parts(y), strict=True)
    )


def test_an_epoch_holds_each_image_once_with_its_label() -> None:
    found = list(batches_of().epoch(0))
    assert [len(batch.labels) for batch in found] == [5, 5, 5, 5, 2]
    indices = torch.cat([batch.indices for batch in found])
    assert sorted(indices.tolist()) == list(range(22))
    assert torch.equal(torch.cat([batch.labels for batch in found]), indices % 3)
    assert found[0].inputs.dtype == torch.uint8


@pytest.mark.parametrize("make", [batches_of, lambda seed: resident_of(split_of(22), seed=seed)])
def test_a_batch_is_a_pure_function_of_seed_epoch_and_position(make: Callable[..., Batches]) -> None:
    batches = make(seed=4)
    whole = list(batches.epoch(2))
    assert same(list(batches.epoch(2, start=3)), whole[3:])
    assert same(list(make(seed=4).epoch(2)), whole)
    assert not same(list(batches.epoch(3)), whole)
    assert not same(list(make(seed=5).epoch(2)), whole)
    assert list(batches.epoch(2, start=len(batches))) == []


@pytest.mark.parametrize("augmentation", ["none", "flip", "crop_flip"])
@pytest.mark.parametrize("views", [None, StoredViews(2, 0, 1), EachView(2, 3)])
@pytest.mark.parametrize("subset", [False, True])
def test_images_in_memory_give_the_batches_of_the_loader(
    augmentation: str, views: ViewSchedule | None, subset: bool
) -> None:
    """Bit for bit: order, labels, augmentation and view numbers."""
    split: ImageSplit = split_of(22)
    if subset:
        split = Subset(Subset(split, range(1, 21)), [3, 0, 7, 11, 12, 19, 5])
    resident = resident_of(split, augmentation, seed=1, views=views)
    loader = SeededBatches(
        split, train_transform("none", 8), batch_size=5, seed=1, shuffle=True, views=views, outcomes=resident.outcomes
    )
    for epoch in range(2):
        assert same(list(resident.epoch(epoch)), list(loader.epoch(epoch)))
        assert all((batch.views is None) == (views is None) for batch in resident.epoch(epoch))


def test_stored_views_of_an_augmentation_without_numbers_can_be_shown_again() -> None:
    """A view of a random resized crop is a random stream: the same pixels whenever, in whatever order, it is shown."""
    split = split_of(9)

    def images(views: ViewSchedule, epoch: int, shuffle: bool) -> dict[tuple[int, int], Tensor]:
        batches = SeededBatches(split, train_transform("imagenet", 8), batch_size=3, shuffle=shuffle, views=views)
        return {
            (int(i), int(v)): image
            for b in batches.epoch(epoch)
            if b.views is not None
            for image, i, v in zip(b.inputs, b.indices, b.views, strict=True)
        }

    stored = images(EachView(2, 5), 0, False) | images(EachView(2, 5), 1, False)
    assert len(stored) == 18
    for epoch in range(3):
        shown = images(StoredViews(2, 5, seed=1), epoch, True)
        assert len(shown) == 9
        assert all(torch.equal(image, stored[key]) for key, image in shown.items())


def test_augmentation_is_fresh_each_epoch_and_not_tied_to_the_position() -> None:
    """Image 7 differs between epochs, but not with the batch size that puts it elsewhere in the epoch."""

    def image(batches: SeededBatches, epoch: int) -> Tensor:
        return next(b.inputs[b.indices == 7][0] for b in batches.epoch(epoch) if 7 in b.indices)

    assert torch.equal(image(batches_of(), 1), image(batches_of(batch_size=3), 1))
    assert not torch.equal(image(batches_of(), 1), image(batches_of(), 2))


def test_worker_processes_change_nothing() -> None:
    plain, workers = batches_of(seed=1), batches_of(seed=1, workers=2)
    for epoch, start in ((0, 0), (1, 2)):
        assert same(list(plain.epoch(epoch, start)), list(workers.epoch(epoch, start)))


def test_two_epochs_may_be_read_side_by_side() -> None:
    batches = batches_of()
    apart = list(batches.epoch(0)), list(batches.epoch(1))
    pairs = list(zip(batches.epoch(0), batches.epoch(1), strict=True))
    assert same([pair[0] for pair in pairs], apart[0])
    assert same([pair[1] for pair in pairs], apart[1])


def test_the_global_random_stream_is_left_alone() -> None:
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    list(batches_of().epoch(0))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_without_shuffling_the_order_is_the_splits() -> None:
    found = list(batches_of(7, shuffle=False).epoch(9))
    assert [batch.indices.tolist() for batch in found] == [[0, 1, 2, 3, 4], [5, 6]]


@pytest.mark.parametrize(
    ("count", "options", "sizes"),
    [
        (12, {"drop_last": True}, [5, 5]),
        (3, {"drop_last": True}, [3]),  # all there is
        (11, {}, [5, 5]),  # a single image would break batch normalisation
        (11, {"shuffle": False}, [5, 5, 1]),  # evaluation leaves nothing out
        (1, {}, [1]),
        (0, {}, []),
    ],
)
def test_the_last_batch(count: int, options: dict[str, bool], sizes: list[int]) -> None:
    batches = batches_of(count, **options)
    assert [len(batch.labels) for batch in batches.epoch(0)] == sizes
    assert len(batches) == len(sizes)


def failure(batches: SeededBatches) -> str:
    """The message of the error; not the error, whose frames would keep worker processes until some later test."""
    try:
        list(batches.epoch(0))
    except DataError as error:
        return str(error)
    return "no error"


@pytest.mark.parametrize("workers", [0, 1])
def test_a_truncated_image_is_named_in_one_line(tmp_path: Path, workers: int) -> None:
    paths = [write_image(tmp_path / name) for name in ("a.png", "b.png")]
    paths[1].write_bytes(paths[1].read_bytes()[:-200])  # the header is fine: only decoding finds out
    batches = SeededBatches(FileSplit(paths, [0, 1], tmp_path), lambda image: image, batch_size=2, workers=workers)
    message = failure(batches)
    assert f"{tmp_path / 'b.png'}: not readable as an image" in message
    assert "Traceback" not in message


@pytest.mark.parametrize("workers", [0, 1])
def test_images_of_different_sizes_ask_for_a_transform(tmp_path: Path, workers: int) -> None:
    paths = [write_image(tmp_path / "a.png", size=(10, 8)), write_image(tmp_path / "b.png", size=(9, 8))]
    batches = SeededBatches(FileSplit(paths, [0, 1], tmp_path), lambda image: image, batch_size=2, workers=workers)
    assert re.search(r"differ in size: \(3, 8, 9\), \(3, 8, 10\); .*resize_center_crop", failure(batches))


def kill_this_process(image: Tensor) -> Tensor:
    os.kill(os.getpid(), signal.SIGKILL)
    return image


def test_a_worker_that_dies_is_reported_with_the_option_to_change() -> None:
    batches = SeededBatches(split_of(4), kill_this_process, batch_size=2, workers=1)
    assert re.search(r"loader process died.*lower data\.workers \(0 loads in the main process", failure(batches))


def ask_this_process_to_stop(image: Tensor) -> Tensor:
    os.kill(os.getpid(), signal.SIGINT)
    return image


def test_a_ctrl_c_that_reaches_a_worker_too_is_left_to_the_main_process(capfd: pytest.CaptureFixture[str]) -> None:
    batches = SeededBatches(split_of(4), ask_this_process_to_stop, batch_size=2, workers=1)
    assert [len(batch.labels) for batch in batches.epoch(0)] == [2, 2]
    assert "Traceback" not in capfd.readouterr().err


def test_impossible_arguments() -> None:
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        batches_of(batch_size=0)
    with pytest.raises(ValueError, match="start must be from 0 to the 5 batches"):
        list(batches_of().epoch(0, start=6))


@pytest.mark.parametrize("world", [2, 3, 4])
@pytest.mark.parametrize("make", [batches_of, lambda **options: resident_of(split_of(22), **options)])
def test_the_slices_of_all_processes_are_the_batch(make: Callable[..., Batches], world: int) -> None:
    """The last batch of 22 images in fives has two: too few for all processes, and none counts twice."""
    whole = list(make().epoch(1))
    shared = [list(make(process=(rank, world)).epoch(1)) for rank in range(world)]
    for number, batch in enumerate(whole):
        parts = [batches[number] for batches in shared]
        assert {part.total for part in parts} == {len(batch.labels)}
        counted = [part for part in parts if part.counted]
        assert all(part.counted >= 2 for part in counted)
        assert len(counted) == max(1, min(world, len(batch.labels) // 2))
        for name in ("inputs", "labels", "indices"):
            assert torch.equal(torch.cat([getattr(part, name) for part in counted]), getattr(batch, name))


def test_what_cannot_be_read_is_left_out_of_its_batch(tmp_path: Path) -> None:
    paths = [write_image(tmp_path / f"{i}.png", size=(8, 8), seed=i) for i in range(6)]
    for number in (1, 4, 5):
        paths[number].write_bytes(paths[number].read_bytes()[:50])
    split, seen = FileSplit(paths, [0, 1, 0, 1, 0, 1], tmp_path), list[str]()
    batches = SeededBatches(split, train_transform("none", None), batch_size=2, on_unreadable=seen.append)
    found = list(batches.epoch(0))
    assert [batch.indices.tolist() for batch in found if batch.counted] == [[0], [2, 3]]
    assert [batch.counted for batch in found] == [1, 2, 0]  # the last one is a placeholder
    assert [line.partition(":")[0] for line in seen] == [str(paths[n]) for n in (1, 4, 5)]
