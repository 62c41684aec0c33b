"""One study on a Ray cluster of two nodes, one of which dies in the middle: the bits of a run on one machine."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.faults.conftest import Whole
from tests.faults.studies import SMALL, assert_same, changed, content

pytestmark = pytest.mark.faults
ray_cluster = pytest.importorskip("ray.cluster_utils")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two nodes of one CPU each, with processes of their own."""
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    made = ray_cluster.Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    made.second = made.add_node(num_cpus=1)
    yield made
    made.shutdown()


def launch(raw: dict[str, Any], root: Path, address: str) -> subprocess.Popen[str]:
    (root / "study.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    command = [sys.executable, "-m", "tosmooth", "study", "study.yaml", "-o", "runs"]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen([*command, "--engine", "ray", "--address", address], cwd=root, **pipes)


def end(process: subprocess.Popen[str]) -> str:
    try:
        output, _ = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 0, output[-3000:]
    return output


def test_two_nodes_give_the_bits_of_one_machine(whole: Whole, tmp_path: Path, cluster: Any):
    output = end(launch(dict(SMALL), tmp_path, cluster.address))
    assert_same(whole.content, content(tmp_path / "runs" / "small"))
    assert output.count("students, seed") == 2  # one place shows what both nodes do
    workers = {line.rsplit("process ", 1)[1] for line in output.splitlines() if "students, seed" in line}
    assert len(workers) == 2


def test_a_node_that_dies_loses_nothing(whole: Whole, tmp_path: Path, cluster: Any):
    process = launch(dict(SMALL), tmp_path, cluster.address)
    state, until = tmp_path / "runs" / "small" / "state", time.monotonic() + 200
    while len(list(state.glob("workers/seed-*/owner.json"))) < 2 or not list(
        state.glob("checkpoints/5-models-*/epoch-*/manifest.json")
    ):
        assert process.poll() is None, process.communicate()[0][-3000:]
        assert time.monotonic() < until
        time.sleep(0.02)
    cluster.remove_node(cluster.second, allow_graceful=False)
    output = end(process)
    assert output.count("students, seed") > 2  # a group was taken up again
    assert_same(whole.content, content(tmp_path / "runs" / "small"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_all_workers_save(whole: Whole, tmp_path: Path, cluster: Any, number: signal.Signals):
    process = launch(dict(SMALL), tmp_path, cluster.address)
    state, until = tmp_path / "runs" / "small" / "state", time.monotonic() + 200
    while not list(state.glob("checkpoints/5-models-*/epoch-*/manifest.json")):
        assert process.poll() is None, process.communicate()[0][-3000:]
        assert time.monotonic() < until
        time.sleep(0.02)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number, output[-3000:]
    assert f"stopped by {number.name}; all progress is saved" in output
    assert "Traceback" not in output
    end(launch(dict(SMALL), tmp_path, cluster.address))
    assert_same(whole.content, content(tmp_path / "runs" / "small"))


def test_what_fails_on_a_worker_is_told_in_one_sentence(tmp_path: Path, cluster: Any):
    raw = changed(teacher={"optimizer": {"learning_rate": 1e30}})
    process = launch(raw, tmp_path, cluster.address)
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 1
    # Ray may add a line of its own about the other teacher's worker, which was stopped with it.
    assert sum(line.startswith("error:") for line in output.splitlines()) == 1, output
    assert "a study needs all its teachers" in output
    assert "Traceback" not in output


def test_work_that_fits_on_no_machine_is_refused_instead_of_waiting(tmp_path: Path, cluster: Any):
    process = launch(changed(compute={"threads": 64}), tmp_path, cluster.address)
    output, _ = process.communicate(timeout=100)
    assert process.returncode == 2
    assert "no machine of the cluster offers 64 CPUs; lower compute.threads" in " ".join(output.split())
