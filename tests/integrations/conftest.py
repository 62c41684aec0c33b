from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from accelerate.state import AcceleratorState, GradientState


@pytest.fixture(autouse=True)
def process_wide_settings() -> Iterator[None]:
    """Trainers set device and precision for the whole process; other tests must not see that."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
