from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tosmooth.files import is_temporary, sync_file, temporary_of, write_bytes, write_text


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


@pytest.mark.skipif(os.name == "nt", reason="no umask")
@pytest.mark.parametrize("mask", [0o002, 0o077])
def test_files_of_other_libraries_get_the_rights_of_any_file(tmp_path: Path, mask: int):
    path, before = tmp_path / "a.safetensors", os.umask(mask)
    try:
        save_file({"a": torch.zeros(1)}, path)  # which makes files that only their owner can read
        sync_file(path)
        write_bytes(tmp_path / "b", b"")
        assert os.umask(mask) == mask
    finally:
        os.umask(before)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("a.safetensors", "b")] == [0o666 & ~mask] * 2


def test_only_names_of_its_own_making_are_temporary(tmp_path: Path):
    assert is_temporary(temporary_of(tmp_path / "model.safetensors"))
    assert is_temporary(tmp_path / ".tmpj4RTNq")  # as safetensors names it
    assert not any(is_temporary(tmp_path / name) for name in (".tmp", ".tmp-notes", ".mine.tmp", "a.1.tmp", ".nfs.1"))
