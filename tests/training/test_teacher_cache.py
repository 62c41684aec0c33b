"""Stored logits are the live teacher's, and a cache that is not what it claims to be is refused by name."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.processes import FORKS
from tosmooth.config.schema import ComputeConfig, DataConfig
from tosmooth.data.pipeline import ImagePipeline
from tosmooth.data.registry import load_image_data
from tosmooth.data.views import EachView, StoredViews
from tosmooth.errors import CacheError
from tosmooth.models.build import build_image_model
from tosmooth.training import teacher_cache
from tosmooth.training.compute import Compute
from tosmooth.training.forward import SharedInputs
from tosmooth.training.teacher_cache import CachedTeacher, Stamp, TeacherCache, weights_digest
from tosmooth.training.teaching import CachedTeachers, LiveTeachers, fill

CPU = Compute.from_config(ComputeConfig(device="cpu", teacher_precision="float32"))
STAMP = Stamp("resnet8", "t" * 64, "d" * 64, "flip", "outcomes", None, 2, 0, 10, "logits", 3, "float32")


def rows_of(stamp: Stamp) -> Tensor:
    """(views, samples, width), each number different and exact in float16."""
    count = stamp.views * stamp.samples * stamp.width
    return torch.arange(count, dtype=torch.float32).reshape(stamp.views, stamp.samples, stamp.width)


def filled(folder: Path, stamp: Stamp = STAMP, batch_size: int = 4) -> TeacherCache:
    cache = TeacherCache(folder, stamp, batch_size=batch_size)
    with cache.filling():
        for shard in cache.missing:
            cache.write(shard, rows_of(stamp)[shard.view, shard.first : shard.last])
    return cache


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teacher_cache, "SHARD_BYTES", 24)  # four rows of three numbers


def read_all(cache: TeacherCache, stamp: Stamp = STAMP) -> Tensor:
    order = torch.randperm(stamp.views * stamp.samples, generator=torch.Generator().manual_seed(0))
    found = torch.empty(len(order), stamp.width)
    samples, views = order % stamp.samples, order // stamp.samples
    found[order] = cache.rows(samples, views)
    on_host = samples.numpy(), views.numpy()  # numbers that need not be fetched from a GPU
    assert torch.equal(cache.rows(samples, views, on_host), found[order])
    return found.reshape(stamp.views, stamp.samples, stamp.width)


@pytest.mark.parametrize("resident", [True, False])
def test_rows_come_back_from_many_shards(tmp_path: Path, small_shards: None, resident: bool) -> None:
    """Held on the device or mapped from disk: the same rows, whatever order they are asked for in."""
    cache = filled(tmp_path / "c")
    assert len(cache.shards) == 6
    for opened in (cache, TeacherCache(tmp_path / "c", STAMP)):
        opened.resident = resident
        assert torch.equal(read_all(opened), rows_of(STAMP))


def test_filling_goes_on_with_the_first_missing_shard(tmp_path: Path, small_shards: None) -> None:
    cache = TeacherCache(tmp_path, STAMP, batch_size=4)
    with cache.filling():
        for shard in cache.missing[:3]:
            cache.write(shard, rows_of(STAMP)[shard.view, shard.first : shard.last])
    with pytest.raises(CacheError, match="not filled: 3 of 6 shards missing"):
        cache.rows(torch.tensor([0]), torch.tensor([0]))
    again = TeacherCache(tmp_path, STAMP, batch_size=2)  # another batch size: the cache keeps the one it began with
    assert (again.batch_size, [(s.view, s.first, s.last) for s in again.missing]) == (
        4,
        [(1, 0, 4), (1, 4, 8), (1, 8, 10)],
    )
    written = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("view-*")}
    assert torch.equal(read_all(filled(tmp_path)), rows_of(STAMP))
    assert all((tmp_path / name).stat().st_mtime_ns == time for name, time in written.items())


def test_a_cache_begun_meanwhile_in_other_batches_is_not_gone_on_with(tmp_path: Path, small_shards: None) -> None:
    """Its shards have other bounds than the batches that were prepared here."""
    early, other = (TeacherCache(tmp_path, STAMP, batch_size=size) for size in (2, 4))
    with other.filling():
        shard = other.missing[0]
        other.write(shard, rows_of(STAMP)[shard.view, shard.first : shard.last])
    with pytest.raises(CacheError, match="just begun by another process, in batches of 4; run again"), early.filling():
        pass
    filled(tmp_path)
    assert torch.equal(read_all(TeacherCache(tmp_path, STAMP, batch_size=2)), rows_of(STAMP))


def test_one_that_found_no_memory_for_its_first_batch_is_begun_in_smaller_ones(tmp_path: Path) -> None:
    with pytest.raises(MemoryError), TeacherCache(tmp_path, STAMP, batch_size=8).filling():
        raise MemoryError
    assert read_all(filled(tmp_path, batch_size=2)).equal(rows_of(STAMP))
    assert TeacherCache(tmp_path, STAMP, batch_size=8).batch_size == 2


def test_a_shard_that_was_deleted_is_computed_again(tmp_path: Path, small_shards: None) -> None:
    filled(tmp_path)
    (tmp_path / "view-001-000000004.npy").unlink()
    assert [shard.file for shard in TeacherCache(tmp_path, STAMP).missing] == ["view-001-000000004.npy"]
    assert torch.equal(read_all(filled(tmp_path)), rows_of(STAMP))


@pytest.mark.parametrize("damage", ["flipped bit", "truncated", "emptied"])
def test_a_damaged_shard_is_named(tmp_path: Path, small_shards: None, damage: str) -> None:
    filled(tmp_path)
    path = tmp_path / "view-001-000000004.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes({"flipped bit": content, "truncated": content[:-5], "emptied": b""}[damage])
    with pytest.raises(CacheError, match=r"view-001-000000004\.npy is damaged.*delete it and run again"):
        TeacherCache(tmp_path, STAMP)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("teacher", "u" * 64), ("data", "e" * 64), ("augmentation", "crop_flip"), ("view_seed", 1), ("views", 3),
        ("image_size", 32), ("precision", "bf16"), ("transforms", "torchvision 1"), ("samples", 11), ("width", 4),
        ("content", "features"),
    ],
)  # fmt: skip
def test_a_cache_of_something_else_is_refused_with_what_differs(tmp_path: Path, field: str, value: Any) -> None:
    filled(tmp_path)
    other = dataclasses.replace(STAMP, **{field: value})
    assert other.key != STAMP.key
    with pytest.raises(
        CacheError, match=rf"computed for something else \({field}: .* there, {str(value)[:10]}.* here\)"
    ):
        TeacherCache(tmp_path, other)


@pytest.mark.parametrize("name", ["stamp.json", "shards.json"])
@pytest.mark.parametrize("content", ["{", "[]", "\xff"])
def test_a_damaged_description_is_named(tmp_path: Path, name: str, content: str) -> None:
    filled(tmp_path)
    (tmp_path / name).write_text(content, encoding="latin-1")
    with pytest.raises(CacheError, match=name):
        TeacherCache(tmp_path, STAMP)


def test_a_full_disk_is_noticed_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10))
    with (
        pytest.raises(CacheError, match=r"needs 0.0 MB, but .* has 0.0 MB free"),
        TeacherCache(tmp_path / "c", STAMP).filling(),
    ):
        pass
    assert not (tmp_path / "c").exists()


def test_a_disk_that_fills_up_leaves_the_finished_shards(
    tmp_path: Path, small_shards: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write itself fails, as it does on a real full disk (ENOSPC from fsync)."""
    real, calls = os.fsync, []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) > 6:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CacheError, match="cannot be written: No space left on device; finished shards are kept"):
        filled(tmp_path)
    monkeypatch.setattr(os, "fsync", real)
    assert not list(tmp_path.glob(".*.tmp"))
    assert 0 < len(TeacherCache(tmp_path, STAMP).missing) < 6
    assert torch.equal(read_all(filled(tmp_path)), rows_of(STAMP))


def test_a_read_only_folder(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root writes everywhere")
    tmp_path.chmod(0o500)
    with pytest.raises(CacheError, match="cannot be written"):
        filled(tmp_path / "c")


def _hold(folder: Path, ready: Any, leave: Any, finishes: bool) -> None:
    cache = TeacherCache(folder, STAMP, batch_size=2)
    with cache.filling():
        ready.set()
        assert leave.wait(60)
        if not finishes:
            os.kill(os.getpid(), signal.SIGKILL)
        for shard in cache.missing:
            cache.write(shard, rows_of(STAMP)[shard.view, shard.first : shard.last])


@pytest.mark.parametrize("finishes", [True, False])
def test_a_second_writer_waits_and_a_dead_one_does_not_block(tmp_path: Path, finishes: bool) -> None:
    ready, leave = FORKS.Event(), FORKS.Event()
    process = FORKS.Process(target=_hold, args=(tmp_path, ready, leave, finishes))
    process.start()
    assert ready.wait(60)
    cache = TeacherCache(tmp_path, STAMP, batch_size=4 if finishes else 2)
    said: list[str] = []

    def note(text: str) -> None:
        said.append(text)
        leave.set()

    (tmp_path / ".stamp.json.123.tmp").write_text("{")  # left by one that was killed
    with cache.filling(note):
        assert not list(tmp_path.glob(".*.tmp"))
        assert cache.complete == finishes
        for shard in cache.missing:
            cache.write(shard, rows_of(STAMP)[shard.view, shard.first : shard.last])
    process.join()
    assert said == [f"waiting for another study, which is filling {tmp_path}"]
    assert torch.equal(read_all(TeacherCache(tmp_path, STAMP)), rows_of(STAMP))


def test_the_processes_of_a_run_do_not_wait_for_another_study(tmp_path: Path) -> None:
    with (
        TeacherCache(tmp_path, STAMP).filling(),
        pytest.raises(CacheError, match=r"another study is filling .*; start again when it has done so"),
        TeacherCache(tmp_path, STAMP).filling(waits=False),
    ):
        raise AssertionError


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e6])
def test_a_row_that_float16_cannot_hold_is_named(tmp_path: Path, value: float) -> None:
    cache = TeacherCache(tmp_path, STAMP)
    rows = rows_of(STAMP)[1].clone()
    rows[7, 2] = value
    with cache.filling(), pytest.raises(CacheError, match=r"teacher resnet8 .* training sample 7 \(view 1\)"):
        cache.write(cache.shards[1], rows)
    assert len(TeacherCache(tmp_path, STAMP).missing) == 2


def test_the_digest_sees_weights_buffers_and_whatever_else_is_named() -> None:
    model = build_image_model("resnet8", 10, channels=1, seed=0)
    digest = weights_digest(model, "a")
    assert weights_digest(build_image_model("resnet8", 10, channels=1, seed=0), "a") == digest
    assert weights_digest(model, "b") != digest
    model.backbone.bn1.running_mean[3] += 1e-7
    assert weights_digest(model, "a") != digest


@pytest.mark.parametrize("augmentation", ["none", "flip", "crop_flip", "imagenet"])
@pytest.mark.parametrize("content", ["logits", "features"])
def test_stored_logits_are_the_live_teachers(tmp_path: Path, augmentation: str, content: str) -> None:
    """Filled through the real pipeline, then read for shuffled batches of any seed: equal up to float16."""
    data = load_image_data("fashion_mnist_sample", limit_train=140, limit_test=20, validation=0.1)
    pipeline = ImagePipeline(DataConfig(train_augmentation=augmentation, image_size=28), CPU.device)
    teacher = CPU.place(build_image_model("resnet8", 10, channels=1, seed=0)).eval()
    head = teacher.backbone.fc if content == "features" else None
    width = 10 if head is None else head.in_features
    stamp = dataclasses.replace(STAMP, samples=len(data.train), width=width, content=content, views=2)
    cache = TeacherCache(tmp_path, stamp, batch_size=32)
    fill(cache, teacher, pipeline.in_order(data.train, batch_size=32, views=EachView(2, 0)), CPU)
    stored = CachedTeachers({"it": CachedTeacher(TeacherCache(tmp_path, stamp), head)})
    live = LiveTeachers({"it": teacher}, CPU)
    for seed in (0, 1):
        batches = pipeline.training(data.train, batch_size=25, seed=seed, views=StoredViews(2, 0, seed))
        for epoch in range(2):
            for batch in batches.epoch(epoch):
                one, other = (t.answers(batch, SharedInputs(batch.inputs))["it"] for t in (live, stored))
                torch.testing.assert_close(one, other, rtol=2e-3, atol=2e-3)
    fresh = next(pipeline.training(data.train, batch_size=25, seed=0).epoch(0))
    with pytest.raises(CacheError, match="fresh views"):
        stored.answers(fresh, SharedInputs(fresh.inputs))


def test_the_folder_holds_no_pickles(tmp_path: Path) -> None:
    """A shard made by hand with a pickled object in it is not opened."""
    cache = filled(tmp_path)
    path = tmp_path / cache.shards[0].file
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    listed = json.loads((tmp_path / "shards.json").read_text(encoding="utf-8"))
    listed[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    (tmp_path / "shards.json").write_text(json.dumps(listed), encoding="utf-8")
    with pytest.raises(ValueError, match="Python objects"):
        TeacherCache(tmp_path, STAMP).rows(torch.tensor([0]), torch.tensor([0]))
