"""How long a student's step takes and how many kernels it launches, and the benchmarks against other tools."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.common import RESULTS, compute_of, installed, synchronize
from benchmarks.gpu_check.cases import CASES, Student
from benchmarks.gpu_check.finding import Findings, Skipped
from benchmarks.workload import default_grid
from tosmooth.config.schema import DataConfig
from tosmooth.data.pipeline import ImagePipeline
from tosmooth.study.environment import describe_environment
from tosmooth.training.evaluation import evaluate

LAUNCHES = ("cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cuLaunchKernelEx")
# The last one is the longest: where the time is up, it is what is missing.
RUNS = {
    "limit": ["limit", "--repeats", "2"],
    "fused": ["fused", "--repeats", "2"],
    "grid": ["grid", "--images", "3072", "--repeats", "1"],
    "grid-heavy": ["grid", "--heavy", "1", "--students", "1", "--repeats", "1"],
}
SECONDS = 90  # for each of them


def environment(short: bool) -> Findings:
    """What the check runs on."""
    found, compute = Findings(), compute_of()
    found.facts = describe_environment(compute)
    found.add("device", found.facts["gpu"] or "no card: what needs one is skipped")
    found.add("training in", compute.precision)
    if compute.device.type == "cuda":
        properties = torch.cuda.get_device_properties(compute.device)
        found.add("GiB of memory", properties.total_memory / 2**30)
        found.add("compute capability", f"{properties.major}.{properties.minor}")
        found.add("CUDA, cuDNN", f"{torch.version.cuda}, {torch.backends.cudnn.version()}")
        found.add("TF32 in matrix products", str(torch.backends.cuda.matmul.allow_tf32))
        found.add("TF32 in convolutions", str(torch.backends.cudnn.allow_tf32))
    return found


def milliseconds(step: Callable[[], object], warm: int, number: int) -> tuple[float, float]:
    """Of a step, and of that until the host has launched all of it; means over a number of steps."""
    for _ in range(warm):
        step()
    synchronize()
    started = time.perf_counter()
    for _ in range(number):
        step()
    host = time.perf_counter() - started
    synchronize()
    return 1e3 * (time.perf_counter() - started) / number, 1e3 * host / number


def steps(short: bool) -> Findings:
    """Milliseconds and launches of one student's step, teachers left out, as a study would run it."""
    found, compute = Findings(), compute_of()
    on_card = compute.device.type == "cuda"
    warm, number = (1, 1) if short else (10, 50) if on_card else (1, 3)
    for case in CASES:
        student = Student(case, compute, short=short)
        whole, host = milliseconds(student.step, warm, number)
        found.add(f"{case.name}: ms a step", whole)
        if on_card:
            found.add(f"{case.name}: of that until all is launched, ms", host)
            with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
                student.step()
                synchronize()
            launched = sum(event.count for event in seen.key_averages() if event.key in LAUNCHES)
            found.add(f"{case.name}: launches a step", launched)
    return found


def images(short: bool) -> Findings:
    """Images a second: augmented where they lie in memory, and evaluated by ResNet-8."""
    found, compute, work = Findings(), compute_of(), default_grid(256 if short else 4096)
    pipeline = ImagePipeline(DataConfig(train_augmentation="flip"), compute.device)
    model = compute.place(work.build(work.student, 0))

    def augmented() -> None:
        for _ in pipeline.training(work.split, batch_size=work.batch_size, seed=0).epoch(0):
            pass

    def evaluated() -> None:
        evaluate(model, pipeline.evaluation(work.split, batch_size=500), compute)

    for call in (augmented, evaluated):
        call()
        synchronize()
        started = time.perf_counter()
        call()
        synchronize()
        found.add(f"images a second, {call.__name__}", len(work.labels) / (time.perf_counter() - started))
    return found


def benchmark(name: str, short: bool) -> Findings:
    """One of `RUNS`, with a table of its own under `benchmarks/results`."""
    if short:
        raise Skipped("left out of the short form; `make bench` runs them")
    if compute_of().device.type != "cuda":
        raise Skipped("`make bench` runs them on a CPU")
    found, (module, *options) = Findings(), RUNS[name]
    if module == "grid" and installed("torchdistill") is None:
        raise Skipped('pip install ".[bench]"')
    command = [sys.executable, "-m", f"benchmarks.{module}", *options]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise Skipped(f"not done after {SECONDS} s") from None
    said = ran.stderr.strip().splitlines()[-1:] if ran.returncode else []
    found.expect(f"{RESULTS.name}/{name}.json{''.join(f': {line}' for line in said)}", not ran.returncode)
    return found
