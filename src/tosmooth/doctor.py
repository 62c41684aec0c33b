"""What `tosmooth doctor` looks at: is this machine, and this folder, fit for a study?"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any, Literal

import psutil
import torch
from filelock import FileLock, Timeout
from packaging.requirements import Requirement

from tosmooth import allocator, plugins
from tosmooth.config.schema import ComputeConfig
from tosmooth.data.registry import IMAGE_SOURCES
from tosmooth.data.translation.registry import TRANSLATION_SOURCES
from tosmooth.errors import TosmoothError
from tosmooth.files import write_bytes
from tosmooth.losses.objectives import find_objective
from tosmooth.memory import free_memory
from tosmooth.models.names import find_model_source
from tosmooth.study.precision_trial import TRIED, compare_on
from tosmooth.tasks.find import find_task
from tosmooth.training.compute import Compute
from tosmooth.training.device import APPLE_LEFT_ALONE, computes_in_bf16
from tosmooth.trial import Trial, train_and_resume

GIB = 2**30
# Times what two runs of the same device differ by: more than that after a stop is no matter of the order of sums.
TOLERANCE = 10
LEAST_DISK = 1 * GIB  # a small study with stored logits
LEAST_MEMORY = 2 * GIB
LEAST_SHARED_MEMORY = GIB // 2  # loader processes hand their batches over in it; containers often have 64 MiB


@dataclass(frozen=True)
class Check:
    """What one look found.

    Attributes:
        name: what was looked at.
        state: "ok"; "warning": studies run, with a limit; "failed": they would not.
        found: in words.
        remedy: what would help, unless it is ok.
        facts: the same as numbers and names.
    """

    name: str
    state: Literal["ok", "warning", "failed"]
    found: str
    remedy: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def examine(folder: Path) -> Iterator[Check]:
    """All checks, one by one as they are done.

    Args:
        folder: where studies would be written; nothing is left there.
    """
    yield _versions()
    yield _devices()
    yield _precision()
    yield _memory()
    yield _allocator()
    yield _plugins()
    parent = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
    yield _disk(parent)
    try:
        scratch = tempfile.TemporaryDirectory(prefix=".tosmooth-doctor-", dir=parent)
    except OSError as error:
        found = f"{parent} cannot be written: {error.strerror}"
        yield Check("write access", "failed", found, "choose another --output")
        return
    with scratch as name:
        yield _guarded("write access", lambda: _write_access(Path(name), parent))
        yield _guarded("train and resume", lambda: _judged(train_and_resume(Path(name))))


def _guarded(name: str, look: Callable[[], Check]) -> Check:
    try:
        return look()
    except (TosmoothError, OSError, RuntimeError) as error:
        return Check(name, "failed", f"{type(error).__name__}: {error}", "this is what a study would meet, too")


def _versions() -> Check:
    """Every required package is there, in a version that serves."""
    found, wrong = {"tosmooth": version("tosmooth"), "python": platform.python_version()}, []
    for text in requires("tosmooth") or []:
        wanted = Requirement(text)
        extra = wanted.marker is not None and not wanted.marker.evaluate({"extra": ""})
        try:
            there = version(wanted.name)
        except PackageNotFoundError:
            if not extra:
                wrong.append(f"{wanted.name} is missing")
            continue
        found[wanted.name] = there
        if not wanted.specifier.contains(there, prereleases=True):
            wrong.append(f"{wanted.name} is {there}, tosmooth wants {wanted.specifier}")
    if wrong:
        return Check("versions", "failed", "; ".join(wrong), "pip install --upgrade tosmooth", {"versions": found})
    told = ", ".join(f"{name} {found[name]}" for name in ("tosmooth", "python", "torch", "torchvision", "timm"))
    return Check("versions", "ok", told, facts={"versions": found})


def _devices() -> Check:
    cores, threads = os.cpu_count() or 1, torch.get_num_threads()
    facts: dict[str, Any] = {"cores": cores, "threads": threads, "gpus": []}
    for number in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(number)
        name = torch.cuda.get_device_name(number)
        facts["gpus"].append({"name": name, "memory": total, "free": free})
    cpu = f"{cores} CPU cores, {threads} used by PyTorch"
    if facts["gpus"]:
        gpus = ", ".join(
            f"{gpu['name']} ({gpu['free'] / GIB:.0f} of {gpu['memory'] / GIB:.0f} GiB free)" for gpu in facts["gpus"]
        )
        return Check("devices", "ok", f"{gpus}; {cpu}", facts=facts)
    if torch.backends.mps.is_available():
        return Check("devices", "ok", f"Apple GPU (mps); {cpu}; {APPLE_LEFT_ALONE}", facts=facts)
    if shutil.which("nvidia-smi"):
        built = torch.version.cuda or "no CUDA at all"
        return Check(
            "devices",
            "warning",
            f"an NVIDIA driver is installed, but PyTorch {torch.__version__} (built for {built}) finds no GPU; {cpu}",
            "install the PyTorch build that fits the driver: https://pytorch.org/get-started/locally",
            facts,
        )
    return Check("devices", "ok", f"no GPU; {cpu}", facts=facts)


# What a study would use under a name; raises where it could not.
_USED: dict[plugins.Kind, Callable[[str], Any]] = {
    "objectives": find_objective,
    "data_sources": IMAGE_SOURCES.find,
    "translation_sources": TRANSLATION_SOURCES.find,
    "models": lambda prefix: find_model_source(f"{prefix}:any")[0],
    "tasks": lambda name: type(find_task(name)),
}


def _plugins() -> Check:
    """What other packages add, and whether it can be loaded."""
    facts, wrong = [], []
    for plugin in plugins.installed():
        facts.append(asdict(plugin))
        try:
            taken = _USED[plugin.kind](plugin.name) is not plugins.load(plugin.kind, plugin.name)
        except TosmoothError as error:
            wrong.append(str(error))
            continue
        if taken:
            wrong.append(
                f"{plugin.name!r} ({plugin.kind}) of the package {plugin.package} is never used: tosmooth has one"
            )
    if wrong:
        return Check(
            "plugins", "warning", "; ".join(dict.fromkeys(wrong)), "mend or uninstall the package", {"plugins": facts}
        )
    told = ", ".join(f"{fact['name']} ({fact['kind']}, {fact['package']})" for fact in facts) or "none installed"
    return Check("plugins", "ok", told, facts={"plugins": facts})


def _precision() -> Check:
    compute = Compute.from_config(ComputeConfig())
    matrix = torch.eye(8, device=compute.device) / 3
    with torch.autocast(compute.device.type, dtype=torch.bfloat16):
        error = float(((matrix @ matrix).float() - matrix / 3).abs().max())
    facts = {"training": compute.precision, "frozen teachers": compute.teacher_precision, "bf16 error": error}
    found = f"on {compute.device}: training in {compute.precision}, frozen teachers in {compute.teacher_precision}"
    if not error < 0.01:
        return Check("precision", "failed", f"{found}; bf16 gives wrong numbers", "set precisions to float32", facts)
    if computes_in_bf16(compute.device):
        compared = compare_on(compute)
        facts["bf16 speedup"] = compared.speedup
        found += (
            f"; steps of a {TRIED} are {compared.speedup:.1f} times as fast in bf16, and compute.precision=measured "
            "lets a study see what it is for its own models"
        )
    return Check("precision", "ok", found, facts=facts)


def _memory() -> Check:
    memory, device = psutil.virtual_memory(), Compute.from_config(ComputeConfig()).device
    facts = {"total": memory.total, "free": memory.available, "on device": free_memory(device)}
    found = f"{memory.available / GIB:.1f} of {memory.total / GIB:.1f} GiB free"
    if memory.available < LEAST_MEMORY:
        return Check("memory", "warning", found, "close other programs, or keep models and batches small", facts)
    shared = Path("/dev/shm")
    if shared.is_dir() and (free := shutil.disk_usage(shared).free) < LEAST_SHARED_MEMORY:
        return Check(
            "memory",
            "warning",
            f"{found}, but only {free / 2**20:.0f} MiB of shared memory, which loader processes need",
            "give the container more (docker run --shm-size=8g), or keep data.workers=0",
            facts | {"shared": free},
        )
    return Check("memory", "ok", found, facts=facts)


def _allocator() -> Check:
    """A faster allocator is no requirement, so nothing here is a warning."""
    library, used = allocator.installed(), allocator.preloaded()
    facts = {"tcmalloc preloaded": used, "tcmalloc installed": None if library is None else str(library)}
    if used:
        return Check("allocator", "ok", "tcmalloc, preloaded", facts=facts)
    if library is not None:
        found = (
            "the system's; tcmalloc is installed, and can make training on a CPU faster, with the same bits: "
            f"LD_PRELOAD={library} tosmooth study …"
        )
        return Check("allocator", "ok", found, facts=facts)
    if sys.platform != "linux":
        return Check("allocator", "ok", "the system's", facts=facts)
    found = f"the system's; tcmalloc (Debian's package {allocator.PACKAGE}) can make training on a CPU faster"
    return Check("allocator", "ok", found, facts=facts)


def _disk(parent: Path) -> Check:
    usage = shutil.disk_usage(parent)
    found = f"{usage.free / GIB:.1f} of {usage.total / GIB:.1f} GiB free under {parent}"
    facts = {"folder": str(parent), "total": usage.total, "free": usage.free}
    if usage.free < LEAST_DISK:
        return Check("disk", "warning", found, "free some space, choose another --output, or set cache=off", facts)
    return Check("disk", "ok", found, facts=facts)


def _write_access(scratch: Path, parent: Path) -> Check:
    """Write, replace and lock, as a study does."""
    content = os.urandom(16 * 2**20)
    started = time.perf_counter()
    write_bytes(scratch / "probe", content)
    write_bytes(scratch / "probe", content)
    speed = 2 * len(content) / (time.perf_counter() - started) / 1e6
    if (scratch / "probe").read_bytes() != content:
        return Check("write access", "failed", f"{parent} gives back other bytes than were written", "check the disk")
    facts = {"megabytes_per_second": round(speed, 1)}
    with FileLock(scratch / "lock"):
        try:
            with FileLock(scratch / "lock", timeout=0):
                return Check(
                    "write access",
                    "warning",
                    f"{parent} can be written ({speed:,.0f} MB/s), but its file system does not lock files",
                    "start no study twice there: only the owner's name in state/owner.json would tell",
                    facts,
                )
        except Timeout:
            return Check("write access", "ok", f"{parent}: written ({speed:,.0f} MB/s), replaced, locked", facts=facts)


def _judged(trial: Trial) -> Check:
    facts = asdict(trial)
    found = (
        f"{trial.models} models on {trial.device}, stopped after {trial.stopped_after} batches of the students and "
        f"resumed, in {trial.seconds:.0f} s"
    )
    if trial.largest_difference == 0:
        return Check("train and resume", "ok", f"{found}: the same bits as without the stop", facts=facts)
    found += (
        f": a model differs by {trial.largest_difference:.1e} of its weights from the one without the stop; two "
        f"without a stop differ by {trial.without_stop:.1e}"
    )
    if trial.device != "cpu":
        found += f", and up to {TOLERANCE} times that is the device's own doing"
    if trial.device == "cpu" or not trial.largest_difference <= TOLERANCE * trial.without_stop:
        return Check("train and resume", "failed", found, "please report this, with the output of --json", facts)
    remedy = "none needed: kernels add up in no fixed order here, so results are the same up to that"
    return Check("train and resume", "warning", found, remedy, facts)
