"""The self-check: on a sound machine, on a full disk, on one that cannot be written."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import pytest

import tosmooth.doctor
from tests.cli.commands import tosmooth as command
from tosmooth.doctor import Check, examine
from tosmooth.training.randomness import RandomStream
from tosmooth.trial import STOP_AFTER, train_and_resume


def test_the_command_examines_everything_and_leaves_nothing(tmp_path: Path):
    ran = command("doctor", "--output", tmp_path / "not" / "yet", "--json")
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told["fit"] is True
    checks = {check["name"]: check for check in told["checks"]}
    assert list(checks) == [
        "versions", "devices", "precision", "memory", "plugins", "disk", "write access", "train and resume"
    ]  # fmt: skip
    assert checks["versions"]["facts"]["versions"]["torch"] == version("torch")
    assert checks["train and resume"]["facts"]["models"] == 4
    if checks["train and resume"]["facts"]["device"] == "cpu":
        assert checks["train and resume"]["facts"]["largest_difference"] == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_difference_after_a_resume_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The comparison can fail: with another random stream, dropout drops something else."""
    monkeypatch.setattr(RandomStream, "go_to", lambda self, state: None)
    found = train_and_resume(tmp_path)
    assert found.largest_difference > 0
    assert found.stopped_after == STOP_AFTER


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
