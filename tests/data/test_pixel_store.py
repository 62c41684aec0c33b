"""Images decoded once: the pixels and views of their files, shared, and refused where they are not trusted."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from PIL import Image

from tests.data.image_files import write_image
from tosmooth.config.schema import DataConfig
from tosmooth.data import pixel_store
from tosmooth.data.base import Subset
from tosmooth.data.files import FileSplit
from tosmooth.data.pipeline import ImagePipeline
from tosmooth.data.pixel_store import PixelStore, Stamp, UnfilledError
from tosmooth.errors import CacheError, DataError
from tosmooth.files import temporary_of


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixel_store, "SHARD_IMAGES", 4)


@pytest.fixture
def files(tmp_path: Path) -> FileSplit:
    """Photographs of several sizes, modes and formats, one that lies on its side, and one that is cut off."""
    root, paths = tmp_path / "images", []
    for number, (size, name, mode) in enumerate(
        [((50, 38), "a.jpg", "RGB"), ((38, 50), "b.jpg", "L"), ((41, 40), "c.png", "RGBA"), ((60, 45), "d.jpg", "RGB"),
         ((50, 38), "e.webp", "RGB"), ((64, 64), "f.bmp", "RGB"), ((90, 41), "g.jpg", "RGB"), ((47, 42), "h.png", "L"),
         ((50, 38), "i.jpg", "RGB")]
    ):  # fmt: skip
        paths.append(write_image(root / name, size=size, seed=number, mode=mode))
    turned = Image.open(paths[3])
    exif = turned.getexif()
    exif[0x0112] = 6
    held = io.BytesIO()
    turned.save(held, "jpeg", exif=exif)
    paths[3].write_bytes(held.getvalue())
    paths.append(root / "j.jpg")
    paths[-1].write_bytes(paths[0].read_bytes()[:300])
    return FileSplit(paths, [number % 2 for number in range(len(paths))], root)


PLACES = torch.tensor([0, 1, 2, 3, 5, 6, 7, 8, 9])  # not the fifth


def store_of(files: FileSplit, folder: Path) -> PixelStore:
    stamp = Stamp(Subset(files, PLACES).digest(with_times=True), "Pillow", len(PLACES))
    return PixelStore(folder, stamp, PLACES, off="data.in_memory=off")


def read(files: FileSplit, place: int) -> torch.Tensor | DataError:
    try:
        return files[place]
    except DataError as error:
        return error


def filled(files: FileSplit, folder: Path, shards: int = 3) -> PixelStore:
    store = store_of(files, folder)
    with store.filling():
        for number in store.missing[:shards]:
            store.write(number, (read(files, place) for place in store.places_of(number)))
    return store


@pytest.fixture
def twin(files: FileSplit, tmp_path: Path) -> FileSplit:
    """The same files with their pixels stored."""
    other = FileSplit(files.paths, files.labels.tolist(), files.root)
    filled(files, tmp_path / "store")
    other.pixels = store_of(files, tmp_path / "store")  # as the next process opens it
    assert other.pixels.complete
    return other


def test_pixels_and_their_layout_are_those_of_the_files(files: FileSplit, twin: FileSplit) -> None:
    assert twin.pixels is not None
    for place in range(9):
        stored = twin.pixels.image(place)
        assert (stored is None) == (place == 4)
        assert torch.equal(twin[place], files[place])
        assert twin[place].stride() == files[place].stride()
    assert files[3].shape == (3, 60, 45)  # upright
    with pytest.raises(DataError, match=r"j\.jpg: not readable as an image"):
        twin[9]
    assert twin.digest(with_times=True) == files.digest(with_times=True)


@pytest.mark.parametrize(
    ("name", "workers"),
    [("crop_flip", 0), ("gentle_crop", 2), ("imagenet", 0), ("cub", 0), ("resize_center_crop", 0)],
)
def test_every_view_is_that_of_the_files(files: FileSplit, twin: FileSplit, name: str, workers: int) -> None:
    config = DataConfig(
        train_augmentation=name, eval_transform="resize_center_crop", image_size=32, workers=workers,
        auto_augment="trivialaugment", on_error="skip",
    )  # fmt: skip
    for split in (files, twin):
        assert split.in_memory() is None
    pipeline = ImagePipeline(config, torch.device("cpu"))
    for make in (
        lambda split: pipeline.training(split, batch_size=3, seed=1),
        lambda split: pipeline.evaluation(split, batch_size=3),
    ):
        plain, stored = make(files), make(twin)
        for epoch in range(2):
            for one, other in zip(plain.epoch(epoch), stored.epoch(epoch), strict=True):
                assert torch.equal(one.inputs, other.inputs)
                assert one.inputs.stride() == other.inputs.stride()
                assert torch.equal(one.indices, other.indices)
    assert any("j.jpg" in line for line in pipeline.unreadable)


def test_processes_that_are_started_anew_map_the_files_and_copy_nothing(files: FileSplit, twin: FileSplit) -> None:
    assert twin.pixels is not None
    assert twin.pixels.image(0) is not None  # it is mapped here
    sent = pickle.dumps(twin.pixels)
    assert len(sent) < 4_000 < sum(path.stat().st_size for path in twin.pixels.folder.glob("*.bin"))
    assert torch.equal(pickle.loads(sent).image(8), files[8])


def test_nobody_changes_the_file_by_its_tensor(files: FileSplit, twin: FileSplit) -> None:
    twin[0].zero_()
    assert torch.equal(FileSplit(files.paths, files.labels.tolist(), files.root)[0], files[0])
    assert twin.pixels is not None
    again = store_of(files, twin.pixels.folder)  # whose sums are as they were
    assert torch.equal(again.image(0), files[0])


def test_filling_goes_on_with_the_first_shard_that_is_missing(files: FileSplit, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    assert store_of(files, folder).missing == [0, 1, 2]
    assert filled(files, folder, shards=1).missing == [1, 2]
    before = (folder / "images-000000000.bin").stat().st_mtime_ns
    assert filled(files, folder).complete
    assert (folder / "images-000000000.bin").stat().st_mtime_ns == before
    (folder / "images-000000004.bin").unlink()
    assert store_of(files, folder).missing == [1]


def test_a_process_that_ends_within_a_shard_leaves_nothing_of_it(files: FileSplit, tmp_path: Path) -> None:
    def breaks():
        yield files[0]
        raise KeyboardInterrupt

    store = store_of(files, tmp_path / "store")
    with pytest.raises(KeyboardInterrupt), store.filling():
        store.write(0, breaks())
    assert sorted(path.name for path in store.folder.iterdir() if path.name != "filling.lock") == ["stamp.json"]
    assert store_of(files, tmp_path / "store").missing == [0, 1, 2]


def test_damaged_and_stale_stores_are_refused_by_name(files: FileSplit, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    filled(files, folder)
    shard, facts = folder / "images-000000004.bin", folder / "images-000000004.json"
    whole, known = shard.read_bytes(), facts.read_text(encoding="utf-8")
    shard.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    with pytest.raises(CacheError, match=r"images-000000004\.bin is damaged"):
        store_of(files, folder).check(1)
    for content in (whole[:-1], whole + b"\0"):
        shard.write_bytes(content)
        with pytest.raises(CacheError, match=r"images-000000004\.bin is damaged"):
            store_of(files, folder)
    shard.write_bytes(whole)
    renamed = known.replace("sizes", "size"), known.replace("sha256", "sum")
    for text in (*renamed, known.replace("[64, 64]", "[64, 63]"), "[]", "{"):
        assert text != known
        facts.write_text(text, encoding="utf-8")
        with pytest.raises(CacheError, match=r"images-000000004\.(bin|json) is (damaged|not readable)"):
            store_of(files, folder)
    facts.write_text(known, encoding="utf-8")
    assert store_of(files, folder).complete
    os.utime(files.paths[6], ns=(1, 1))  # one that is stored; its content may be another
    with pytest.raises(CacheError, match=r"store was made of other images \(files differ\)"):
        store_of(files, folder)


def test_what_another_process_has_written_is_to_be_checked_once(files: FileSplit, tmp_path: Path) -> None:
    filled(files, tmp_path / "store", shards=1)
    store = filled(files, tmp_path / "store")
    assert store.complete
    assert store.unchecked == [0]  # the others are its own
    store.check(0)
    store.reload()
    assert store.unchecked == []
    (tmp_path / "store" / "images-000000004.bin").unlink()
    again = store_of(files, tmp_path / "store")
    assert (again.missing, again.unchecked) == ([1], [0, 2])


def test_another_study_is_waited_for_and_what_it_left_is_cleared(files: FileSplit, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    store, taken, said = store_of(files, folder), FileLock(folder / "filling.lock"), list[str]()
    leftover = temporary_of(folder / "images-000000000.bin")
    leftover.write_bytes(b"half a shard")
    taken.acquire()

    def note(text: str) -> None:
        said.append(text)
        taken.release()

    with store.filling(note):
        assert not leftover.exists()
    assert said == [f"waiting for another study, which is filling {folder}"]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open files as Linux lists them")
def test_no_file_stays_open_however_many_shards_are_read(files: FileSplit, tmp_path: Path) -> None:
    store = filled(files, tmp_path / "store")
    before = len(list(Path("/proc/self/fd").iterdir()))
    kept = [store.image(int(place)) for place in store.places]
    assert sum(image is not None for image in kept) > 4  # of more than one shard
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_full_disk_is_a_sentence(files: FileSplit, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    store = store_of(files, folder)
    with store.filling():
        (folder / "images-000000000.json").mkdir()
        with pytest.raises(UnfilledError, match=r"store cannot be written: .*data\.in_memory=off"):
            store.write(0, iter([files[0]] * 4))


def test_the_index_of_a_shard_of_one_image_is_whole(files: FileSplit, twin: FileSplit) -> None:
    assert twin.pixels is not None
    assert twin.pixels.places_of(2) == [9]  # the one that cannot be read: a shard of no bytes
    assert (twin.pixels.folder / "images-000000008.bin").stat().st_size == 0
    assert np.array_equal(twin.pixels.places, PLACES.numpy())
