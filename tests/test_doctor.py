"""The self-check: on a sound machine, on a full disk, on one that cannot be written."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import pytest

import tosmooth.doctor
from tests.cli.commands import tosmooth as command
from tosmooth.doctor import Check, _judged, examine
from tosmooth.training.randomness import RandomStream
from tosmooth.trial import STOP_AFTER, Trial, train_and_resume


def test_the_command_examines_everything_and_leaves_nothing(tmp_path: Path):
    ran = command("doctor", "--output", tmp_path / "not" / "yet", "--json")
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told["fit"] is True
    checks = {check["name"]: check for check in told["checks"]}
    assert list(checks) == [
        "versions", "devices", "precision", "memory", "allocator", "plugins", "disk", "write access",
        "train and resume",
    ]  # fmt: skip
    assert checks["versions"]["facts"]["versions"]["torch"] == version("torch")
    assert ("bf16 speedup" in checks["precision"]["facts"]) == ("in bf16, and" in checks["precision"]["found"])
    assert checks["train and resume"]["facts"]["models"] == 4
    if checks["train and resume"]["facts"]["device"] == "cpu":
        assert checks["train and resume"]["facts"]["largest_difference"] == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_difference_after_a_resume_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The comparison can fail: with another random stream, dropout drops something else."""
    monkeypatch.setattr(RandomStream, "go_to", lambda self, state: None)
    found = train_and_resume(tmp_path)
    assert found.largest_difference > 0 == found.without_stop
    assert _judged(found).state == "failed"
    assert found.stopped_after == STOP_AFTER


@pytest.mark.parametrize(
    ("device", "largest", "without_stop", "state"),
    [
        ("cpu", 0.0, 0.0, "ok"),
        ("cpu", 1e-7, 1e-7, "failed"),
        ("cuda", 3e-6, 1e-6, "warning"),
        ("cuda", 3e-5, 1e-6, "failed"),
        ("cuda", 1e-7, 0.0, "failed"),
        ("cuda", float("nan"), 1e-6, "failed"),
    ],
)
def test_a_gpu_may_differ_after_a_stop_by_about_what_it_differs_by_without_one(device, largest, without_stop, state):
    found = _judged(Trial(device, 4, 5, largest, without_stop, 9.0))
    assert found.state == state
    assert (f"{largest:.1e}" in found.found) == (largest != 0)


def test_a_mac_is_told_that_its_gpu_is_left_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    assert "compute.device=auto means the CPU" in tosmooth.doctor._devices().found


def test_a_folder_that_cannot_be_written_fails(tmp_path: Path):
    file = tmp_path / "proc"
    file.symlink_to("/proc/sys")  # not even root makes a folder there
    *_, last = examine(file)
    assert (last.name, last.state) == ("write access", "failed")
    assert "choose another --output" in last.remedy


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tosmooth.doctor, "requires", lambda name: ["torch>=99", "no-such-package", 'x; extra == "y"'])
    found: Check = tosmooth.doctor._versions()
    assert found.state == "failed"
    assert found.found == f"torch is {version('torch')}, tosmooth wants >=99; no-such-package is missing"
