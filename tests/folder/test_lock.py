"""Who has a study: by the system's lock on this machine, by a counter that moves on another."""

from __future__ import annotations

import json
import os
import socket
import threading
from pathlib import Path

import pytest

from tosmooth.errors import StudyError
from tosmooth.folder import lock
from tosmooth.folder.lock import StudyLock


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(lock, "WATCH_SECONDS", 0.4)


def owner(folder: Path, host: str, beat: int) -> None:
    text = {"host": host, "pid": 77, "started": "2030-01-01", "command": "tosmooth study", "beat": beat}
    (folder / "owner.json").write_text(json.dumps(text), encoding="utf-8")


def test_the_owner_is_named_and_leaves_no_trace(tmp_path: Path):
    with StudyLock(tmp_path, "runs/demo"):
        written = json.loads((tmp_path / "owner.json").read_text(encoding="utf-8"))
        assert (written["host"], written["pid"]) == (socket.gethostname(), os.getpid())
        with pytest.raises(StudyError, match=rf"runs/demo is being worked on by process {os.getpid()} on "):
            StudyLock(tmp_path, "runs/demo").__enter__()
    assert not (tmp_path / "owner.json").exists()
    with StudyLock(tmp_path, "runs/demo"):
        pass


def test_an_owner_of_this_machine_without_the_lock_is_gone(tmp_path: Path):
    owner(tmp_path, socket.gethostname(), 3)
    notes: list[str] = []
    with StudyLock(tmp_path, "demo", notes.append):
        pass
    assert len(notes) == 1
    assert "process 77" in notes[0]
    assert "was killed or crashed; going on from its files" in notes[0]


@pytest.mark.usefixtures("quick")
def test_an_owner_elsewhere_whose_counter_stands_still_is_gone(tmp_path: Path):
    owner(tmp_path, "elsewhere", 3)
    notes: list[str] = []
    with StudyLock(tmp_path, "demo", notes.append):
        pass
    assert "process 77 on elsewhere" in notes[0]
    assert "watching" in notes[0]
    assert "was killed or crashed" in notes[1]


@pytest.mark.usefixtures("quick")
def test_an_owner_elsewhere_whose_counter_moves_is_alive(tmp_path: Path):
    """Where the file system carries no locks between machines."""
    owner(tmp_path, "elsewhere", 3)
    timer = threading.Timer(0.15, owner, (tmp_path, "elsewhere", 4))
    timer.start()
    with pytest.raises(StudyError, match="worked on by process 77 on elsewhere"):
        StudyLock(tmp_path, "demo").__enter__()
    timer.join()
    assert json.loads((tmp_path / "owner.json").read_text(encoding="utf-8"))["beat"] == 4  # untouched


@pytest.mark.usefixtures("quick")
def test_the_counter_of_a_living_owner_moves(tmp_path: Path):
    with StudyLock(tmp_path, "demo"):
        seen = set()
        for _ in range(100):
            seen.add(json.loads((tmp_path / "owner.json").read_text(encoding="utf-8"))["beat"])
            if len(seen) >= 3:
                break
            threading.Event().wait(0.05)
    assert len(seen) >= 3


@pytest.mark.parametrize("content", ["", "[]", "{", '{"pid": 3}'])
def test_a_damaged_name_keeps_nobody_out(tmp_path: Path, content: str, quick: None):
    (tmp_path / "owner.json").write_text(content, encoding="utf-8")
    with StudyLock(tmp_path, "demo"):
        pass
