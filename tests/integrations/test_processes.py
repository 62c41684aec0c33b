"""Metrics, the tracker and a Trainer in two real processes give what one process gives."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import Any

import pytest
import torch

from tests.integrations.one_process import everything

pytestmark = pytest.mark.slow  # processes of torchrun


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Of one process alone, and of both of two."""
    folder = tmp_path_factory.mktemp("processes")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.integrations.one_process", str(folder / rank)],
            env={**os.environ, **where, "RANK": rank, "LOCAL_RANK": rank},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in ("0", "1")
    ]
    alone = everything(str(folder))
    for process in processes:
        output, _ = process.communicate(timeout=200)
        assert process.returncode == 0, output[-3000:]
    return [alone, *(torch.load(folder / rank, weights_only=True) for rank in ("0", "1"))]


@pytest.mark.parametrize("rank", [0, 1])
def test_metrics_and_tracker(results: list[dict[str, Any]], rank: int) -> None:
    alone, both = results[0], results[1 + rank]
    names = [name for name in alone if not name.startswith("weights/")]
    assert {"eta", "stability", "stored", "tracker/eta_s1", "tracker/ece"} <= set(names)
    for name in names:
        torch.testing.assert_close(both[name], alone[name], rtol=1e-6, atol=1e-9)


def test_every_token_of_a_step_weighs_alike_whichever_process_has_it(results: list[dict[str, Any]]) -> None:
    alone, *both = results
    names = [name for name in alone if name.startswith("weights/True/")]
    assert len(names) > 20
    for found in both:
        for name in names:
            torch.testing.assert_close(found[name], alone[name], rtol=1e-4, atol=1e-5)


def test_without_counting_across_processes_each_process_weighs_alike(results: list[dict[str, Any]]) -> None:
    """The library's other setting: the mean of the processes' means, which is another gradient, though near."""
    alone, first, second = results
    names = [name for name in alone if name.startswith("weights/False/")]
    changed = 0.0
    for name in names:
        torch.testing.assert_close(first[name], second[name])
        torch.testing.assert_close(alone[name], alone[name.replace("False", "True")])
        changed = max(changed, float((first[name] - alone[name]).abs().max()))
    assert 1e-4 < changed < 0.2
