from __future__ import annotations

import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.faults.studies import SMALL, content, finish, start_server


class Whole(NamedTuple):
    """The small study, run without any interruption."""

    content: dict[str, Any]
    seconds: float


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    root: Path = tmp_path_factory.mktemp("whole")
    start_server()  # so that the time below is the study's alone
    started = time.monotonic()
    finish(SMALL, root / "timed")
    return Whole(content(root / "timed" / "small"), time.monotonic() - started)
