from __future__ import annotations

import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.faults.studies import SMALL, content, finish, start_server
from tests.shared import Shared


class Whole(NamedTuple):
    """The small study, run without any interruption."""

    content: dict[str, Any]
    seconds: float


@pytest.fixture(scope="session")
def whole(shared: Shared) -> Whole:
    def run(root: Path) -> None:
        start_server()  # so that the time below is the study's alone
        started = time.monotonic()
        finish(SMALL, root)
        (root / "seconds.txt").write_text(str(time.monotonic() - started), encoding="utf-8")

    folder = shared.folder("whole-small-study", run)
    start_server()
    return Whole(content(folder / "small"), float((folder / "seconds.txt").read_text(encoding="utf-8")))
