"""Processes that begin at once: forks of a server that has imported PyTorch and the parts of a study (`tests.warm`).

They are real processes: their own memory, environment and streams, signals and exit codes. No thread pool is inherited,
as the server computes nothing. What a process prints depends on its streams and its environment, so the command line
itself is imported in the fork.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.warm", "tests.processes"])


def run_forked(
    arguments: list[str], environment: Mapping[str, str], cwd: Path | None, timeout: float = 240
) -> subprocess.CompletedProcess[str]:
    """`tosmooth <arguments>` in a process of its own, with pipes' sort of streams: no terminal.

    Raises:
        subprocess.TimeoutExpired: it was still running; it is killed.
    """
    with tempfile.TemporaryDirectory() as folder:
        streams = [str(Path(folder) / name) for name in ("stdout", "stderr")]
        process = FORKS.Process(target=_command, args=(arguments, dict(environment), str(cwd or Path.cwd()), *streams))
        process.start()
        process.join(timeout)
        if process.is_alive():
            process.kill()
            raise subprocess.TimeoutExpired(["tosmooth", *arguments], timeout)
        stdout, stderr = (Path(path).read_text(encoding="utf-8") for path in streams)
    assert process.exitcode is not None
    return subprocess.CompletedProcess(["tosmooth", *arguments], process.exitcode, stdout, stderr)


def _command(arguments: list[str], environment: dict[str, str], cwd: str, stdout: str, stderr: str) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    redirect(stdout, stderr)
    sys.argv = ["tosmooth", *arguments]
    extra = [folder for folder in environment.get("PYTHONPATH", "").split(os.pathsep) if folder]
    sys.path[:0] = [folder for folder in extra if folder not in sys.path]
    from tosmooth.cli import main

    main()


def redirect(stdout: str, stderr: str) -> None:
    """Point this process' standard streams at files, for Python, for C and for children."""
    for number, path in ((1, stdout), (2, stderr)):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, number)
        os.close(descriptor)
    with contextlib.suppress(ValueError):
        sys.stdout.flush()
    sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb", closefd=False), encoding="utf-8")
    sys.stderr = io.TextIOWrapper(os.fdopen(2, "wb", closefd=False), encoding="utf-8", line_buffering=True)
