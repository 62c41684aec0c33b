from __future__ import annotations

import os
from pathlib import Path

import pytest

from tosmooth.files import write_bytes, write_text


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "deep" / "file.txt"
    write_text(path, "α = 0.1")
    assert path.read_text(encoding="utf-8") == "α = 0.1"

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_bytes(path, b"half")
    assert path.read_text(encoding="utf-8") == "α = 0.1"
    assert [file.name for file in path.parent.iterdir()] == ["file.txt"]
