"""What a study ran on: versions, hardware and code state, for `environment.json`."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from tosmooth.terminal import command_line
from tosmooth.training.compute import Compute


def describe_environment(compute: Compute) -> dict[str, Any]:
    """Versions, hardware and the state of the code."""
    return {
        **{name: version(name) for name in ("tosmooth", "torch", "torchvision", "timm", "accelerate")},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name(compute.device) if compute.device.type == "cuda" else None,
        "device": str(compute.device),
        "precision": compute.precision,
        "teacher_precision": compute.teacher_precision,
        "git": _git_state(),
        "command": command_line(),
    }


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _git_state() -> str | None:
    """The commit of the checkout tosmooth runs from, with `+changes` when it is not clean; None when installed."""
    here = Path(__file__).parent
    try:
        run = subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--dirty=+changes", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return run.stdout.strip() or None
