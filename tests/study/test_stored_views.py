"""Studies whose views are stored as pixels: the bits of views that are made live, in groups, alone and after a stop."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from rich.console import Console

from tests.data.image_files import write_folder, write_image
from tests.grids import trained
from tests.study.test_decoded_images import Listens
from tests.study.test_mixing import all_weights, assert_same
from tosmooth.data import pixel_store
from tosmooth.errors import CacheError, ConfigError, DataError, Interrupted
from tosmooth.recipes.reading import load_config
from tosmooth.study import pixel_filling, stored_views
from tosmooth.study.context import Context
from tosmooth.study.estimate import estimate_study
from tosmooth.study.estimate_summary import print_estimate
from tosmooth.study.stored_views import store_views, views_to_store

CROPS = 2 * (13 + 5) * 3 * 16 * 16  # bytes of two views of 13 training images and 5 without labels


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A teacher and two students of images in class folders, some more without labels; two views of each."""
    monkeypatch.setattr(pixel_store, "SHARD_IMAGES", 5)  # does not end where an image's views end
    monkeypatch.setattr(stored_views, "LEAST_DECODINGS", 1)
    write_folder(tmp_path / "images", classes=("cat", "dog", "owl"), splits={"train": 5, "test": 2})
    for number in range(5):
        write_image(tmp_path / "more" / f"{number}.jpg", seed=500 + number)
    return {
        "name": "views",
        "data": {
            "source": "folder", "path": str(tmp_path / "images"), "unlabelled": str(tmp_path / "more"),
            "validation": 0.15, "image_size": 16, "train_augmentation": "gentle_crop",
            "auto_augment": "trivialaugment", "eval_transform": "resize_center_crop",
        },
        "teacher": {"model": "resnet8", "label_smoothing": [0.1], "epochs": 1, "batch_size": 4},
        "student": {
            "model": "resnet8", "epochs": 3, "batch_size": 5, "seeds": [0], "temperatures": [2, 4], "controls": [],
        },
        "cache": {"views": 2},
        "selection": "last",
        "compute": {"device": "cpu"},
    }  # fmt: skip


def run(
    raw: dict[str, Any], root: Path, *settings: str, stop_after: int = 0, blanked: Sequence[Path] = ()
) -> list[str]:
    progress = Listens(stop_after, blanked, counted="storing views", blanks_at="storing the logits")
    trained(load_config(raw, [*settings]), root, progress)
    return [text for text in progress.notes if "views" in text]


def store_in(root: Path) -> Path | None:
    return next((root / ".cache").glob("views-*"), None)


def test_training_is_bit_equal_in_a_group_and_alone_stops_and_goes_on_and_reads_no_file_again(raw, tmp_path) -> None:
    assert run(raw, tmp_path / "live", "cache.pixels=off") == []
    assert store_in(tmp_path / "live") is None
    with pytest.raises(Interrupted):
        run(raw, tmp_path / "stored", stop_after=3)
    store = store_in(tmp_path / "stored")
    assert store is not None
    assert len(list(store.glob("*.bin"))) == 3
    before = {path: path.stat().st_mtime_ns for path in store.glob("*.bin")}
    files = list((tmp_path / "more").glob("*.jpg"))  # those of training are evaluated, too
    notes = run(raw, tmp_path / "stored", "compute.group_size=1", blanked=files)
    assert all(path.read_bytes() == b"" for path in files)
    assert len(notes) == 1
    assert notes[0].startswith(f"2 views of 18 images are made once, into {store}: about 0.00 GB (cache.pixels=off")
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert sum(path.stat().st_size for path in store.glob("*.bin")) == CROPS
    assert_same(all_weights(tmp_path / "live" / "views"), all_weights(tmp_path / "stored" / "views"))


def test_other_seeds_and_studies_share_a_store_and_other_views_have_their_own(raw, tmp_path) -> None:
    run(raw, tmp_path)
    assert run(raw | {"name": "again"}, tmp_path, "student.seeds=[0,1]", "student.temperatures=[8]") == []
    assert len(list((tmp_path / ".cache").glob("views-*"))) == 1
    run(raw | {"name": "other"}, tmp_path, "cache.view_seed=1")
    assert len(list((tmp_path / ".cache").glob("views-*"))) == 2


def test_auto_does_it_where_it_pays_and_the_disk_has_room_and_is_silent_elsewhere(raw, tmp_path, monkeypatch) -> None:
    def stored(name: str, *settings: str) -> tuple[bool, int, list[str]]:
        config = load_config(raw, settings)
        counted = views_to_store(Context.join(config, tmp_path / name, Listens()))
        notes = run(raw, tmp_path / name, *settings)
        return store_in(tmp_path / name) is not None, counted, notes

    assert stored("few", "student.epochs=2") == (False, 0, [])  # no view is shown twice
    whole = ["data.train_augmentation=none", "data.auto_augment=none", "student.epochs=2"]
    assert stored("numbered", *whole) == (False, 0, [])
    with monkeypatch.context() as patched:
        patched.setattr(stored_views, "LEAST_DECODINGS", 55)  # three epochs of 18 images
        assert stored("short") == (False, 0, [])
        patched.setattr(stored_views, "LEAST_DECODINGS", 54)
        patched.setattr(stored_views, "DISK_SHARE", 0.0)
        assert stored("disk") == (False, 0, [])
        found, counted, notes = stored("asked", "cache.pixels=on", "student.epochs=1")
        assert (found, counted, len(notes)) == (True, CROPS, 1)
        patched.setattr(pixel_filling, "free_disk", lambda directory: CROPS - 1)
        with pytest.raises(
            CacheError, match=r"18 images are made once: that needs .* free; .* or set cache\.pixels=off"
        ):
            run(raw, tmp_path / "full", "cache.pixels=on")


def test_auto_uses_what_is_there_whole_whatever_is_left_to_train(raw, tmp_path, monkeypatch) -> None:
    run(raw, tmp_path)
    monkeypatch.setattr(stored_views, "LEAST_DECODINGS", 10**9)
    monkeypatch.setattr(stored_views, "DISK_SHARE", 0.0)

    def used(*settings: str) -> tuple[bool, list[str]]:
        progress = Listens()
        context = Context.join(load_config(raw, ["name=short", "student.epochs=1", *settings]), tmp_path, progress)
        store_views(context)
        store_views(context)
        return context.taught.stored is not None, progress.stages

    assert used() == (True, ["checking stored views"])
    assert used("cache.pixels=off") == (False, [])
    store = store_in(tmp_path)
    assert store is not None
    (store / "images-000000005.bin").unlink()
    assert used() == (False, [])


def test_who_waited_for_another_neither_says_it_nor_needs_room(raw, tmp_path, monkeypatch) -> None:
    run(raw, tmp_path)
    store = store_in(tmp_path)
    assert store is not None
    shard, taken = store / "images-000000005.bin", FileLock(store / "filling.lock")
    shard.rename(shard.with_suffix(".away"))
    monkeypatch.setattr(pixel_filling, "free_disk", lambda directory: 0)

    class Waits(Listens):
        def note(self, text: str) -> None:
            super().note(text)
            if text.startswith("waiting"):  # the other one ends
                shard.with_suffix(".away").rename(shard)
                taken.release()

    progress = Waits()
    context = Context.join(load_config(raw, ["cache.pixels=on", "name=again"]), tmp_path, progress)
    with taken:
        store_views(context)
    assert progress.notes == [f"waiting for another study, which is filling {store}"]
    assert progress.stages == ["checking stored views"]
    assert context.taught.stored is not None


def test_what_a_study_would_take_has_the_pixels(raw, tmp_path) -> None:
    for pixels, nbytes in (("auto", CROPS), ("off", 0)):
        found = estimate_study(load_config(raw, [f"cache.pixels={pixels}"]), tmp_path, seconds=0.01)
        assert found.disk.views == nbytes
        assert any("stored as pixels (cache.pixels)" in text for text in found.notes) == (nbytes > 0)
        console = Console(file=io.StringIO(), record=True, width=200)
        print_estimate(found, console)
        assert (f"{nbytes / 1e3:.0f} kB of stored views" in console.export_text()) == (nbytes > 0)


def test_where_there_are_no_such_views_a_wish_is_answered(raw, tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"cache\.pixels: on stores the views of cache\.views, which is off"):
        load_config(raw, ["cache.pixels=on", "cache.views=off"])
    held = raw | {"data": {"source": "fashion_mnist_sample", "limit_train": 40, "train_augmentation": "crop_flip"}}
    held["data"]["image_size"] = 28
    for views in ("auto", "3"):  # three: they are made a batch at a time
        progress, config = Listens(), load_config(held, ["cache.pixels=on", f"cache.views={views}"])
        context = Context.join(config, tmp_path, progress)
        assert (context.stored_views is None) == (views == "auto")
        store_views(context)
        assert [text[:30] for text in progress.notes] == ["cache.pixels=on stores nothing"]


def test_damaged_and_stale_stores_are_refused_by_name(raw, tmp_path) -> None:
    run(raw, tmp_path)
    store = store_in(tmp_path)
    assert store is not None
    shard, stamp = store / "images-000000005.bin", store / "stamp.json"
    whole, known = shard.read_bytes(), stamp.read_text(encoding="utf-8")
    shard.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(CacheError, match=r"images-000000005\.bin is damaged"):
        run(raw | {"name": "again"}, tmp_path)
    shard.write_bytes(whole)
    stamp.write_text(json.dumps(json.loads(known) | {"arithmetic": "torch 0"}), encoding="utf-8")
    with pytest.raises(CacheError, match=r"views-folder-\w+ was made of other images \(arithmetic differ\)"):
        run(raw | {"name": "again"}, tmp_path)
    shard.unlink()  # that alone is made again
    stamp.write_text(known, encoding="utf-8")
    assert len(run(raw | {"name": "again"}, tmp_path)) == 1
    assert shard.read_bytes() == whole


def test_images_that_cannot_be_read_are_told_as_ever(raw, tmp_path) -> None:
    (tmp_path / "more" / "2.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"2\.jpg: not readable.*data\.on_error=skip"):
        run(raw, tmp_path)
    for root, pixels in ((tmp_path / "live", "off"), (tmp_path / "stored", "auto")):
        run(raw, root, "data.on_error=skip", f"cache.pixels={pixels}")
        assert "2.jpg" in (root / "views" / "unreadable.csv").read_text(encoding="utf-8")
    assert_same(all_weights(tmp_path / "live" / "views"), all_weights(tmp_path / "stored" / "views"))
