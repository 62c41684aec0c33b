"""Small real studies in processes of their own, so that they can be killed; and what two of them must share."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from tests.processes import FORKS, redirect
from tosmooth.recipes.reading import load_config

# One of everything that a resume has to get right: two teachers, stored logits of both flips, dropout, drop path, batch
# normalisation and moving averages in the students, two seeds, a last batch that is not full, checkpoints within the
# epoch, selection.
SMALL: Mapping[str, Any] = {
    "name": "small",
    "data": {
        "source": "fashion_mnist_sample", "limit_train": 170, "limit_test": 100, "validation": 0.2,
        "train_augmentation": "flip",
    },
    "teacher": {
        "model": {"name": "resnet8", "width": 0.5, "kwargs": {"stem_stride": 2}},
        "label_smoothing": [0.0, 0.1], "epochs": 2, "batch_size": 32,
    },
    "student": {
        "model": {"name": "timm:test_efficientnet", "kwargs": {"drop_rate": 0.3, "drop_path_rate": 0.2}},
        "temperatures": [1, 8], "seeds": [0, 1], "epochs": 2, "batch_size": 32,
        "optimizer": {"name": "adamw", "learning_rate": 0.002},
        "moving_average": 0.9,
    },
    "cache": {"views": 2},
    "compute": {"device": "cpu", "threads": 1, "checkpoint_minutes": 0.001},
}  # fmt: skip


def _command(raw: Mapping[str, Any], root: str, log: str, what: str) -> None:
    """What the command line does, in this process: errors become a message and an exit code."""
    redirect(log, log)
    from tosmooth.cli import _run
    from tosmooth.search.run import run_search
    from tosmooth.study.run import run_study
    from tosmooth.study.single import train_only_teachers
    from tosmooth.study.until_sure import UntilSure

    run = {"study": run_study, "teachers": train_only_teachers, "search": run_search}[what]
    options = {key: raw[key] for key in ("eta", "budget", "until_sure") if key in raw}  # of a search, or until sure
    study = {key: value for key, value in raw.items() if key not in options}
    if "until_sure" in options:
        options["until_sure"] = UntilSure(options["until_sure"])
    sys.exit(_run(lambda: run(load_config(study), Path(root), **options)))


def start_server() -> None:
    """Start the server whose forks the studies are."""
    process = FORKS.Process(target=time.sleep, args=(0,))
    process.start()
    process.join()


def start(raw: Mapping[str, Any], root: Path, *, teachers_only: bool = False, search: bool = False) -> BaseProcess:
    """Begin or go on with a study, or with a search over its grid; its output goes to ``root/log.txt``."""
    root.mkdir(parents=True, exist_ok=True)
    what = "search" if search else "teachers" if teachers_only else "study"
    process = FORKS.Process(target=_command, args=(dict(raw), str(root), str(root / "log.txt"), what))
    process.start()
    return process


def finish(raw: Mapping[str, Any], root: Path, *, timeout: float = 200, search: bool = False) -> None:
    """Run a study, or a search, to its end."""
    process = start(raw, root, search=search)
    process.join(timeout)
    assert process.exitcode == 0, (root / "log.txt").read_text(encoding="utf-8")[-3000:]


def kill_after(process: BaseProcess, seconds: float) -> bool:
    """SIGKILL after some seconds; whether there was still something to kill."""
    process.join(seconds)
    alive = process.is_alive()
    process.kill()
    process.join()
    return alive


def changed(**sections: Mapping[str, Any]) -> dict[str, Any]:
    """`SMALL` with other values in some sections."""
    return {**SMALL, **{name: {**SMALL.get(name, {}), **values} for name, values in sections.items()}}


STUDENTS = "5-models-*"  # a seed's students with their control, among the checkpoints; teachers are "2-models-*"


def wait_for_checkpoints(process: BaseProcess, root: Path, group: str = STUDENTS, count: int = 1) -> Path:
    """Wait until a group has this many checkpoints; the newest."""
    pattern, until = f"small/state/checkpoints/{group}/epoch-*/manifest.json", time.monotonic() + 100
    while len(found := sorted(root.glob(pattern))) < count:
        assert process.is_alive(), log_of(root)[-3000:]
        assert time.monotonic() < until, f"no {pattern}"
        time.sleep(0.002)
    return found[-1].parent


def wait_for(process: BaseProcess, path: Path, pattern: str, timeout: float = 60) -> None:
    """Wait until a study has written a file."""
    until = time.monotonic() + timeout
    while not any(path.glob(pattern)):
        assert process.is_alive(), "the study ended before"
        assert time.monotonic() < until, f"no {pattern} in {path}"
        time.sleep(0.005)


def log_of(root: Path) -> str:
    """What a study has printed so far."""
    path = root / "log.txt"
    return " ".join(path.read_text(encoding="utf-8").split()) if path.exists() else ""


TIMES = {"samples_per_second", "frozen_at", "seconds", "started", "finished"}


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        left_out = TIMES | {"sha256"} if TIMES & value.keys() else TIMES  # the sum is of the times as well
        return {key: _without_times(item) for key, item in value.items() if key not in left_out}
    return [_without_times(item) for item in value] if isinstance(value, list) else value


def content(path: Path) -> dict[str, Any]:
    """Everything in a study's folder that must not depend on how often it was interrupted, by file."""
    found: dict[str, Any] = {}
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path).as_posix()
        if (
            not file.is_file()
            or name.startswith("state/")
            or file.suffix == ".pdf"
            or name in {"environment.json", "report.html", "study.yaml"}
        ):
            continue
        if file.suffix == ".safetensors":
            found[name] = load_file(file)
        elif file.suffix == ".json":
            found[name] = _without_times(json.loads(file.read_text(encoding="utf-8")))
        elif file.suffix == ".jsonl":
            lines = file.read_text(encoding="utf-8").splitlines()
            found[name] = [_without_times(json.loads(line)) for line in lines]
        else:
            found[name] = file.read_bytes()
    return found


def assert_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    """Bit for bit, file by file."""
    assert one.keys() == other.keys(), sorted(one.keys() ^ other.keys())
    for name, value in one.items():
        if name.endswith(".safetensors"):
            assert value.keys() == other[name].keys(), name
            different = [key for key in value if not torch.equal(value[key], other[name][key])]
            assert not different, (name, different)
        else:
            same = value == other[name]
            assert same, (name, value if isinstance(value, list | dict) else "bytes differ")


@contextlib.contextmanager
def ended(process: BaseProcess):
    """Let no test leave a process behind."""
    try:
        yield process
    finally:
        process.kill()
        process.join()
