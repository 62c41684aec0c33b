"""Peak memory of a call, measured in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import torch


def in_process(module: str, **arguments: Any) -> dict[str, Any]:
    """Run ``module.case(**arguments)`` in a fresh process and return its result, or {"error": …}."""
    code = f"import json, {module} as m; print(json.dumps(m.case(**{arguments!r})))"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parent.parent, check=False
    )
    if run.returncode:
        return {"error": (run.stderr.strip().splitlines() or [f"exit code {run.returncode}"])[-1]}
    found: dict[str, Any] = json.loads(run.stdout.strip().splitlines()[-1])
    return found


def peak_extra(call: Callable[[], object], device: torch.device) -> int:
    """Bytes that a call needs at its peak, beyond what is there before it."""
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    process = psutil.Process()
    before = top = process.memory_info().rss
    done = threading.Event()

    def watch() -> None:
        nonlocal top
        while not done.is_set():
            top = max(top, process.memory_info().rss)
            time.sleep(0.001)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        call()
    finally:
        done.set()
        thread.join()
    return max(top, process.memory_info().rss) - before
