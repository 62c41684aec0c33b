"""Whether tcmalloc is preloaded, and where it lies; and what `doctor` and the Makefile make of it."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tosmooth import allocator
from tosmooth.doctor import _allocator

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="preloading is Linux's")


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library of this machine in a linker's cache, behind one of another machine."""
    header = Path(sys.executable).read_bytes()[:20]
    here, other = tmp_path / "here" / allocator.LIBRARY, tmp_path / "other" / allocator.LIBRARY
    for path, kind in ((here, header), (other, header[:4] + bytes([3 - header[4]]) + header[5:])):
        path.parent.mkdir()
        path.write_bytes(kind)
    cache = tmp_path / "ld.so.cache"
    names = [tmp_path / "gone" / allocator.LIBRARY, other, here.with_name(f"{allocator.LIBRARY}x"), here]
    cache.write_bytes(b"glibc-ld.so.cache1.1\0\xff" + b"\0".join(f"libtcmalloc\0{name}".encode() for name in names))
    monkeypatch.setattr(allocator, "_LINKER_CACHE", cache)
    monkeypatch.setattr(allocator, "_FOLDERS", ())
    return here


def test_an_installed_library_of_this_machine_is_found_and_doctor_says_the_line(library: Path):
    assert allocator.installed() == library
    assert _allocator().state == "ok"
    assert f"LD_PRELOAD={library} tosmooth study" in _allocator().found
    library.unlink()
    assert allocator.installed() is None
    assert allocator.PACKAGE in _allocator().found


def test_what_is_mapped_is_preloaded(tmp_path: Path):
    before = allocator.preloaded()
    assert _allocator().facts["tcmalloc preloaded"] is before
    path = tmp_path / f"{allocator.LIBRARY}.5.10"
    path.write_bytes(b"\0" * mmap.PAGESIZE)
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0):
        assert allocator.preloaded()
        assert _allocator().found == "tcmalloc, preloaded"
    assert allocator.preloaded() is before


def test_make_study_preloads_it_where_it_is():
    # This may run inside `make test`, whose flags and depth a make inside it would take over.
    outer = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")
    environment = {name: value for name, value in os.environ.items() if name not in outer}

    def recipe(library: str) -> str:
        command = ["make", "--dry-run", "--always-make", "study", f"TCMALLOC={library}"]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()[-1]

    assert recipe("/there/libtcmalloc_minimal.so.4").startswith("LD_PRELOAD=/there/libtcmalloc_minimal.so.4 .venv")
    assert recipe("").strip() == ".venv/bin/tosmooth study"
