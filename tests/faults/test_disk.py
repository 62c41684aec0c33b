"""Real file systems that fill up or turn read-only under a running study: a clear error, and nothing is lost."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import Whole
from tests.faults.studies import (
    SMALL,
    assert_same,
    content,
    ended,
    finish,
    log_of,
    start,
    wait_for_checkpoints,
)

MIB = 2**20


def mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True, capture_output=True)


def unmount(path: Path) -> None:
    while subprocess.run(["umount", str(path)], check=False, capture_output=True).returncode == 0:
        pass


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 96 MiB."""
    path = tmp_path / "disk"
    path.mkdir()
    try:
        mount("-t", "tmpfs", "-o", "size=96m", "tmpfs", path)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a file system needs more rights than this process has")
    yield path
    unmount(path)


def fill(disk: Path) -> Path:
    """Write until nothing more fits."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (MIB, 4096):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                pass
    return ballast


def refused(small_disk: Path, sentence: str) -> None:
    log = log_of(small_disk)
    assert sentence in log
    assert "the same command goes on from the last checkpoint" in log
    assert "Traceback" not in log


@pytest.mark.parametrize("group", ["2-models-*", "5-models-*"])
@pytest.mark.faults
def test_a_disk_that_fills_up_under_way(whole: Whole, small_disk: Path, group: str):
    with ended(start(SMALL, small_disk)) as process:
        wait_for_checkpoints(process, small_disk, group)
        ballast = fill(small_disk)
        process.join(60)
        assert process.exitcode == 1
    ballast.unlink()  # which also makes room for the log
    refused(small_disk, "No space left on device")
    finish(SMALL, small_disk)
    assert_same(whole.content, content(small_disk / "small"))


def test_a_disk_too_full_from_the_start_is_refused_before_any_work(small_disk: Path):
    ballast = fill(small_disk)
    with ballast.open("rb+") as file:
        file.truncate(90 * MIB)
    with ended(start(SMALL, small_disk)) as process:
        process.join(60)
        assert process.exitcode == 1
    assert "the study needs about" in log_of(small_disk)
    assert "free some space or choose another --output" in log_of(small_disk)
    assert not (small_disk / "small").exists()


@pytest.mark.faults
def test_a_folder_that_turns_read_only_under_way(whole: Whole, small_disk: Path):
    with ended(start(SMALL, small_disk)) as process:
        wait_for_checkpoints(process, small_disk, "2-models-*")
        state = small_disk / "small" / "state"
        mount("--bind", state, state)  # seen by all that is opened from now on
        mount("-o", "remount,bind,ro", state)
        process.join(60)
        assert process.exitcode == 1
        unmount(state)
    refused(small_disk, "Read-only file system")
    finish(SMALL, small_disk)
    assert_same(whole.content, content(small_disk / "small"))


def test_a_read_only_disk_is_refused_before_any_work(small_disk: Path):
    mount("-o", "remount,ro", small_disk)
    inside = small_disk.parent  # where the log goes
    with ended(start({**SMALL, "name": "disk"}, inside)) as process:
        process.join(60)
        assert process.exitcode == 1
    assert "is not writable; choose another --output" in log_of(inside)
