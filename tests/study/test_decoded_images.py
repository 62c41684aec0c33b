"""Studies whose image files are decoded once: the same bits, when it is done, and going on after a stop."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.data.image_files import write_folder, write_image
from tests.grids import trained
from tests.study.test_mixing import all_weights, assert_same
from tosmooth.data import pixel_store
from tosmooth.data.base import origin_of
from tosmooth.errors import CacheError, DataError, Interrupted
from tosmooth.recipes.reading import load_config
from tosmooth.study import decoded_images
from tosmooth.study.context import Context
from tosmooth.study.decoded_images import decode_once
from tosmooth.study.progress import StudyProgress


@pytest.fixture
def raw(tmp_path: Path) -> dict[str, Any]:
    """A teacher and a student of images in class folders, some more without labels."""
    write_folder(tmp_path / "images", splits={"train": 7, "test": 2})
    for number in range(5):
        write_image(tmp_path / "more" / f"{number}.jpg", seed=500 + number)
    return {
        "name": "once",
        "data": {
            "source": "folder", "path": str(tmp_path / "images"), "unlabelled": str(tmp_path / "more"),
            "validation": 0.15, "image_size": 16, "train_augmentation": "gentle_crop",
            "eval_transform": "resize_center_crop",
        },
        "teacher": {"model": "resnet8", "label_smoothing": [0.1], "epochs": 1, "batch_size": 4},
        "student": {
            "model": "resnet8", "epochs": 1, "batch_size": 5, "seeds": [0], "temperatures": [2], "controls": [],
        },
        "selection": "last",
        "compute": {"device": "cpu"},
    }  # fmt: skip


class Listens(StudyProgress):
    """Progress that keeps its notes and the titles of its stages.

    Args:
        stop_after: shards after which the run ends; 0 = never.
        blanked: files that are emptied when a stage `blanks_at` begins.
        counted: the stage whose shards count.
        blanks_at: how the title of that stage begins.
    """

    def __init__(
        self,
        stop_after: int = 0,
        blanked: Sequence[Path] = (),
        counted: str = "decoding images",
        blanks_at: str = "teachers",
    ) -> None:
        super().__init__(Console(quiet=True))
        self.blanked, self.blanks_at = blanked, blanks_at
        self.notes, self.stages = list[str](), list[str]()
        self.left, self.counted, self.counting = stop_after, counted, False

    def note(self, text: str) -> None:
        self.notes.append(text)

    def stage(self, title: str, **settings: Any) -> None:
        self.stages.append(title)
        self.counting = title == self.counted
        for path in self.blanked if title.startswith(self.blanks_at) else ():
            path.write_bytes(b"")
        super().stage(title, **settings)

    def batch(self, epoch: int, samples: int) -> None:
        self.left -= self.counting
        if self.counting and self.left == 0:
            raise Interrupted(15)


def stores(root: Path) -> list[Path]:
    return sorted((root / ".cache").glob("images-*")) if (root / ".cache").exists() else []


def run(
    raw: dict[str, Any], root: Path, *settings: str, stop_after: int = 0, blanked: Sequence[Path] = ()
) -> list[str]:
    progress = Listens(stop_after, blanked)
    trained(load_config(raw, [*settings, "cache=off"]), root, progress)
    return progress.notes


def test_training_is_bit_equal_stops_and_goes_on_and_decodes_once(raw, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(pixel_store, "SHARD_IMAGES", 4)
    run(raw, tmp_path / "files", "data.in_memory=off")
    assert not stores(tmp_path / "files")
    with pytest.raises(Interrupted):
        run(raw, tmp_path / "once", "data.in_memory=on", stop_after=2)
    (first,) = stores(tmp_path / "once")
    assert len(list(first.glob("*.bin"))) == 2
    files = [*(tmp_path / "images").rglob("*.png"), *(tmp_path / "more").rglob("*.jpg")]
    notes = run(raw, tmp_path / "once", "data.in_memory=on", blanked=files)
    assert all(path.read_bytes() == b"" for path in files)  # nobody has looked at them since
    assert len(stores(tmp_path / "once")) == 3  # training with validation, test, without labels
    assert sum("are decoded once, into" in text for text in notes) == 3
    assert_same(all_weights(tmp_path / "files" / "once"), all_weights(tmp_path / "once" / "once"))


def test_auto_does_it_where_it_pays_and_memory_and_disk_hold_it(raw, tmp_path, monkeypatch) -> None:
    assert not any("decoded" in text for text in run(raw, tmp_path / "short"))
    assert not stores(tmp_path / "short")
    monkeypatch.setattr(decoded_images, "LEAST_DECODINGS", 20)  # an epoch of 12 by the teacher, and of 17 by students
    assert sum("decoded once, into" in text for text in run(raw, tmp_path / "long")) == 3
    assert not run(raw, tmp_path / "long")  # all is finished: nothing is looked at
    with monkeypatch.context() as patched:
        patched.setattr(decoded_images, "MEMORY_SHARE", 0.0)
        notes = run(raw, tmp_path / "memory")
        assert "more than 0 % of the" in " ".join(notes)
        assert "free (memory)" in " ".join(notes)
    with monkeypatch.context() as patched:
        patched.setattr(decoded_images, "DISK_SHARE", 0.0)
        assert "free (disk of" in " ".join(run(raw, tmp_path / "disk"))
    assert not [*stores(tmp_path / "memory"), *stores(tmp_path / "disk")]


def test_auto_uses_what_is_decoded_however_short_the_training(raw, tmp_path, monkeypatch) -> None:
    def used() -> tuple[bool, list[str]]:
        progress = Listens()
        context = Context.join(load_config(raw, ["name=short"]), tmp_path, progress)
        decode_once(context)
        decode_once(context)
        split, _ = origin_of(context.data.train)
        return split.pixels is not None, progress.stages

    assert used() == (False, [])
    run(raw, tmp_path, "data.in_memory=on")
    monkeypatch.setattr(decoded_images, "DISK_SHARE", 0.0)
    assert used() == (True, ["checking decoded images"] * 3)
    shards = [next(path.glob("*.bin")) for path in stores(tmp_path)]
    shards[0].write_bytes(bytes(shards[0].stat().st_size))
    with pytest.raises(CacheError, match=rf"{shards[0].name} is damaged"):
        used()
    for shard in shards:
        shard.unlink()
    assert used() == (False, [])


def test_what_cannot_be_stored_is_told_or_done_without(raw, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(decoded_images, "LEAST_DECODINGS", 1)
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    elsewhere = f"cache.directory={tmp_path / 'file'}"
    settings = [elsewhere, "cache.views=off"]
    progress = Listens()
    trained(load_config(raw, settings), tmp_path / "auto", progress)
    assert any("decoded each time that they are looked at" in text for text in progress.notes)
    with pytest.raises(CacheError, match="cannot be written"):
        trained(load_config(raw, [*settings, "data.in_memory=on"]), tmp_path / "on", Listens())
    (tmp_path / "more" / "2.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"2\.jpg: not readable.*data\.on_error=skip"):
        run(raw, tmp_path / "cut", "data.in_memory=on")
    run(raw, tmp_path / "cut", "data.in_memory=on", "data.on_error=skip")
    assert "2.jpg" in (tmp_path / "cut" / "once" / "unreadable.csv").read_text(encoding="utf-8")
