"""A wall clock that jumps, forwards and back: no result and no checkpoint depends on it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.faults.conftest import Whole
from tests.faults.studies import SMALL, assert_same, content


@pytest.mark.faults
def test_a_jumping_clock_changes_nothing(whole: Whole, tmp_path: Path):
    compiler = shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("the jumping clock is a small C library for Linux")
    library = tmp_path / "clock.so"
    source = Path(__file__).with_name("clock.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    environment = dict(os.environ, LD_PRELOAD=str(library))
    shows = [sys.executable, "-c", "import time; print(len({round(time.time(), -3) for _ in range(50)}))"]
    jumps = subprocess.run(shows, env=environment, check=True, capture_output=True, text=True)
    assert int(jumps.stdout) >= 3  # the library is in effect

    (tmp_path / "study.yaml").write_text(yaml.safe_dump(dict(SMALL)), encoding="utf-8")
    command = [sys.executable, "-m", "tosmooth", "study", str(tmp_path / "study.yaml"), "-o", str(tmp_path / "runs")]
    ran = subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=200)
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert_same(whole.content, content(tmp_path / "runs" / "small"))
