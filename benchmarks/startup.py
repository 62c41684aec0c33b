"""How long a person waits before anything happens: medians of fresh processes.

python -m benchmarks.startup
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

REPEATS = 11
COMPLETION = {"_TOSMOOTH_COMPLETE": "complete_bash", "COMP_WORDS": "tosmooth study student.ep", "COMP_CWORD": "2"}
CALLS: dict[str, tuple[list[str], dict[str, str]]] = {
    "an empty Python": (["-c", ""], {}),
    "`import tosmooth`": (["-c", "import tosmooth"], {}),
    "`tosmooth --help`": (["-m", "tosmooth", "--help"], {}),
    "`--help` of `study`": (["-m", "tosmooth", "study", "--help"], {}),
    "`tosmooth recipes list`": (["-m", "tosmooth", "recipes", "list"], {}),
    "completion of a key": (["-m", "tosmooth"], COMPLETION),
    "`tosmooth validate`": (["-m", "tosmooth", "validate"], {}),
}  # fmt: skip


def seconds(arguments: list[str], more: dict[str, str]) -> tuple[float, float]:
    """Medians over fresh processes, after one that warms the disk cache: on the clock, and of the processor."""
    clock, processor = [], []
    for _ in range(REPEATS + 1):
        started, before = time.perf_counter(), os.times()
        subprocess.run([sys.executable, *arguments], env={**os.environ, **more}, capture_output=True, check=True)
        after = os.times()
        clock.append(time.perf_counter() - started)
        processor.append(after[2] + after[3] - before[2] - before[3])  # of children
    return statistics.median(clock[1:]), statistics.median(processor[1:])


def main() -> None:
    """Print the table."""
    print(f"| | seconds (median of {REPEATS}) | processor seconds |\n|---|---|---|")
    for title, (arguments, more) in CALLS.items():
        clock, processor = seconds(arguments, more)
        print(f"| {title} | {clock:.2f} | {processor:.2f} |", flush=True)


if __name__ == "__main__":
    main()
