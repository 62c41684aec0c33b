"""Failures that no command expects: told in a sentence, never with a traceback."""

from __future__ import annotations

import pytest

from tosmooth.cli import _run


def fail(error: Exception) -> None:
    raise error


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 GB")])
def test_memory_that_runs_out_anywhere_is_a_sentence(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(lambda: fail(error)) == 1
    assert capsys.readouterr().err == "error: this machine's memory does not suffice for that\n"


def test_another_error_of_the_runtime_is_not_taken_for_it() -> None:
    with pytest.raises(RuntimeError, match="shapes"):
        _run(lambda: fail(RuntimeError("shapes do not fit")))
