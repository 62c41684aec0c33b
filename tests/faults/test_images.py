"""Image files that are broken, and loader processes that die."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest

from tests.data.image_files import write_folder
from tests.faults.studies import assert_same, changed, content, ended, finish, log_of, start, wait_for_checkpoints


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """96 training and 24 test images in four classes, as PNG files."""
    return write_folder(tmp_path / "images", classes=("ant", "bee", "cat", "dog"), splits={"train": 24, "val": 6})


def on_files(folder: Path, **data: Any) -> dict[str, Any]:
    section = {"source": "folder", "path": str(folder), "limit_train": None, "limit_test": None, "image_size": 32}
    section |= {"train_augmentation": "flip", "eval_transform": "resize_center_crop", "in_memory": "off"}
    return changed(data=section | data, teacher={"batch_size": 8}, student={"batch_size": 8, "seeds": [0]})


def break_some(folder: Path) -> set[str]:
    """Cut three training images short and replace one by text."""
    broken = [
        folder / "train" / "ant" / "3.png",
        folder / "train" / "bee" / "7.png",
        folder / "train" / "cat" / "0.png",
    ]
    for path in broken:
        path.write_bytes(path.read_bytes()[:200])
    text = folder / "train" / "dog" / "5.png"
    text.write_text("not an image", encoding="utf-8")
    return {str(path) for path in (*broken, text)}


@pytest.mark.parametrize("cache", ["off", 2])
@pytest.mark.faults
def test_broken_images_stop_a_study_or_are_left_out_counted_and_listed(tmp_path: Path, folder: Path, cache: object):
    broken = break_some(folder)
    raw = {**on_files(folder), "cache": {"views": cache}}
    with ended(start(raw, tmp_path)) as process:
        process.join(100)
        assert process.exitcode == 1
    log = log_of(tmp_path)
    assert any(path in log for path in broken)
    assert "data.on_error=skip leaves such images out, and the same command goes on" in log
    assert "Traceback" not in log

    finish({**raw, "data": {**raw["data"], "on_error": "skip"}}, tmp_path)
    listed = pd.read_csv(tmp_path / "small" / "unreadable.csv")["image"]
    assert {path for path in broken if listed.str.contains(path, regex=False).any()} == broken
    assert len(listed) == len(broken)
    assert "4 images could not be read and were left out" in log_of(tmp_path)
    assert "4 images could not be read" in (tmp_path / "small" / "report.html").read_text(encoding="utf-8")


@pytest.mark.faults
def test_a_loader_process_that_dies(tmp_path: Path, folder: Path):
    calm, troubled = on_files(folder), on_files(folder, workers=2)
    finish(calm, tmp_path / "calm")
    with ended(start(troubled, tmp_path / "troubled")) as process:
        wait_for_checkpoints(process, tmp_path / "troubled", "2-models-*")
        loaders = psutil.Process(process.pid).children(recursive=True)
        assert loaders
        for loader in loaders:
            loader.kill()
        process.join(60)
        assert process.exitcode == 1
    log = log_of(tmp_path / "troubled")
    assert "a loader process died, often for lack of (shared) memory; lower data.workers" in log
    assert "Traceback" not in log
    finish(on_files(folder, workers=1), tmp_path / "troubled")
    assert_same(content(tmp_path / "calm" / "small"), content(tmp_path / "troubled" / "small"))
