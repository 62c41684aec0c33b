"""Run the parts, each in a process of its own, and write the table after each."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.common import Result
from benchmarks.gpu_check import launches, runs, speed, steps
from benchmarks.gpu_check.finding import Findings, Skipped
from tosmooth.memory import is_out_of_memory

PARTS: dict[str, Callable[[bool], Findings]] = {
    "environment": speed.environment,
    "card against CPU": steps.against_cpu,
    "waits": steps.waits,
    "batch of NaN": steps.non_finite,
    "group and alone": runs.alone,
    "recorded steps": launches.recorded,
    "stop and resume": runs.resume,
    "bf16": steps.precision,
    "process group of one": runs.one_process,
    "out of memory": runs.memory,
    "speed": speed.steps,
    "launches": launches.ways,
    "images": speed.images,
    **{f"benchmark {name}": partial(speed.benchmark, name) for name in speed.RUNS},
}
SECONDS = 480
Found = dict[str, Any]  # state: "ok", "failed" or "skipped"; rows, facts, said


def look(name: str, short: bool) -> Found:
    """Run a part here."""
    try:
        found = PARTS[name](short)
    except Skipped as reason:
        return {"state": "skipped", "said": str(reason), "rows": [], "facts": {}}
    except Exception as error:  # whatever a card does, the other parts are worth having
        kind = "out of memory" if is_out_of_memory(error) else type(error).__name__
        return {"state": "failed", "said": f"{kind}: {' '.join(str(error).split())[:300]}", "rows": [], "facts": {}}
    kept = all(ok is not False for *_, ok in found.rows)
    return {"state": "ok" if kept else "failed", "said": "", "rows": found.rows, "facts": found.facts}


def look_apart(name: str, short: bool, seconds: float) -> Found:
    """Run a part in a process of its own, which may crash or hang: a card that raised once may be of no more use."""
    with tempfile.TemporaryDirectory() as folder:
        into = Path(folder) / "found.json"
        command = [sys.executable, "-m", "benchmarks.gpu_check", "--part", name, "--into", str(into)]
        command += ["--short", str(int(short))]
        # Without this, cuBLAS is refused under deterministic algorithms.
        environment = os.environ | {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
        nothing: Found = {"state": "failed", "said": "", "rows": [], "facts": {}}
        pipes: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, env=environment, start_new_session=True, **pipes) as process:
            try:
                _, errors = process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                return nothing | {"said": f"not done after {seconds:.0f} s, when the time was up"}
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)  # and what it has started itself
        if not into.exists():
            last = errors.strip().splitlines()[-1:] or ["no word"]
            return nothing | {"said": f"ended with code {process.returncode}: {last[0][:300]}"}
        found: Found = json.loads(into.read_text(encoding="utf-8"))
        return found


def check(
    names: list[str], look_at: Callable[[str, float], Found], *, seconds: float = SECONDS, title: str = ""
) -> bool:
    """Run parts one after the other, as far as the time reaches, and write the table after each.

    Args:
        names: of the parts.
        look_at: runs one by its name, in so many seconds at most.
        seconds: for all.
        title: of the table.

    Returns:
        Whether none failed.
    """
    result = Result("gpu_check", title, ["part", "quantity", "value", "bound", "kept"])
    facts: dict[str, Any] = {}
    started, good = time.monotonic(), True
    for name in names:
        left = seconds - (time.monotonic() - started)
        print(f"  {name} …", file=sys.stderr, flush=True)
        if left > 0:
            found = look_at(name, left)
        else:
            found = {"state": "skipped", "said": "no time was left", "rows": [], "facts": {}}
        facts |= found["facts"]
        good &= found["state"] != "failed"
        for quantity, value, bound, kept in found["rows"]:
            result.add(name, quantity, value, bound, {True: "yes", False: "NO", None: None}[kept])
        if found["said"]:
            result.add(
                name, f"{found['state']}: {found['said']}", None, None, "NO" if found["state"] == "failed" else None
            )
        result.write({"gpu": None, "cpu": "unknown", "cores": os.cpu_count()} | facts)
    result.show()
    return good


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_check", description=__doc__)
    parser.add_argument("--short", type=int, default=0, help="1: tiny batches, and only what takes seconds")
    parser.add_argument("--part", choices=PARTS, help="one part alone, in this process")
    parser.add_argument("--into", type=Path, help="file for what that part finds")
    options = parser.parse_args()
    if options.part:
        text = json.dumps(look(options.part, bool(options.short)))
        if options.into:
            options.into.write_text(text, encoding="utf-8")
        else:
            print(text)
        return
    title = "What a card shows" + ", the short form" * bool(options.short)
    short = bool(options.short)
    sys.exit(0 if check(list(PARTS), lambda name, left: look_apart(name, short, left), title=title) else 1)


if __name__ == "__main__":
    main()
