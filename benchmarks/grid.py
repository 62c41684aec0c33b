"""The whole grid against the peers: `python -m benchmarks.grid`; with `--heavy 1`, a ResNet-50 teacher, and its first
`--students`.

Twice: precision for precision in float32, and each side at its best. Each side first runs one cell in each of its
settings (loader processes, memory layout, precision) and keeps the fastest. Then ours (live and cached) and both peers
run in turn; ratios are medians over the repeats, against the faster peer.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from benchmarks.common import Result, arguments, compute_of, interleave, median_ratio
from benchmarks.ours import GRID, Ours, plain_cross_entropy
from benchmarks.peers import GRIDS, Setting, settings_to_try
from benchmarks.workload import Workload, default_grid, heavy_grid

Key = TypeVar("Key")


# Training in the same precision on both sides; or ours in whatever it documents for this hardware.
OURS = {
    "float32": ["float32/float32"],
    "each at its best": ["float32/float32", "float32/bf16", "bf16/bf16"],  # students/teachers
}
FLOOR = "floor: 8 students by a plain loop, no teacher, images decoded"
HEAVY = {"timm:mobilenetv3_small_100": 12, "torchvision:resnet18": 6}  # steps a cell
PEERS = {"float32": ["float32"], "each at its best": ["float32", "bf16"]}


def fastest(who: str, calls: Mapping[Key, Callable[[], None]], repeats: int) -> Key:
    """The setting whose first cell is fastest."""
    if len(calls) == 1:
        return next(iter(calls))
    tried = interleave({str(key): call for key, call in calls.items()}, repeats)
    seconds = {key: min(times) for key, times in tried.items()}
    best = min(calls, key=lambda key: seconds[str(key)])
    print(f"  {who}: {best}", file=sys.stderr)
    return best


def compare(work: Workload, mode: str, repeats: int, result: Result, *, single: bool) -> None:
    """Add the rows of one workload in one mode."""
    device = compute_of().device
    candidates = {}
    for name in OURS[mode]:
        students, teachers = name.split("/")
        compute = compute_of(precision=students, teacher_precision=teachers)
        for workers in (0,) if work.files is None else (0, 2):  # images in memory need no loader
            shown = name if work.files is None else f"{name}, {workers} workers"
            candidates[shown] = Ours(work, compute, workers)
    tries = 2 if single else 1  # a heavy cell takes long enough to be judged by one run
    own = fastest("tosmooth", {name: lambda c=c: c.live(GRID[:1]) for name, c in candidates.items()}, tries)
    ours = candidates[own]
    ours.live(GRID[:1])  # warm up
    for run in GRIDS.values():
        run(work, GRID[:1], Setting(), device)
    settings = {
        peer: fastest(
            peer, {s: lambda s=s, run=run: run(work, GRID[:1], s, device) for s in settings_to_try(PEERS[mode])}, tries
        )
        for peer, run in GRIDS.items()
    }
    started = time.perf_counter()
    ours.fill()
    fill_seconds = time.perf_counter() - started

    runs: dict[str, Callable[[], None]] = {"live": ours.live, "cached": ours.cached}
    if work.files is not None:
        runs["live, images decoded"] = lambda: ours.live(split=ours.ready)
        runs[FLOOR] = lambda: plain_cross_entropy(ours)
    for peer, run in GRIDS.items():
        runs[peer] = lambda run=run, peer=peer: run(work, GRID, settings[peer], device)
    if single:
        runs["live, one cell"] = lambda: ours.live(GRID[:1])
        for peer, run in GRIDS.items():
            runs[f"{peer}, one cell"] = lambda run=run, peer=peer: run(work, GRID[:1], settings[peer], device)
    seconds = interleave(runs, repeats)
    for candidate in candidates.values():
        candidate.close()

    def faster(suffix: str = "") -> list[float]:
        return min((seconds[peer + suffix] for peer in GRIDS), key=statistics.median)

    for name in runs:
        alone = name.endswith("one cell")
        ratio = median_ratio(faster(", one cell" if alone else ""), seconds[name])
        setting = settings.get(name.partition(",")[0], own)
        spread = f"{min(seconds[name]):.2f} – {max(seconds[name]):.2f}"
        shown = name if name == FLOOR or name.partition(",")[0] in GRIDS else f"tosmooth, {name}"
        result.add(work.name, mode, shown, str(setting), statistics.median(seconds[name]), spread, ratio)
    saved = statistics.median(seconds["live"]) - statistics.median(seconds["cached"])
    pays = f"pays after {fill_seconds / saved:.1f} such grids" if saved > 0 else "does not pay here"
    filled = "2 teachers × 2 views" if work.files is None else "images decoded, 2 teachers × 2 views"
    result.notes.append(
        f"{work.name}, {mode}: filling the cache ({filled}) took {fill_seconds:.2f} s; it saves "
        f"{saved:.2f} s a grid of {work.epochs} epoch(s), so it {pays}"
    )


def main() -> None:
    options = arguments(__doc__ or "", images=3072, repeats=3, heavy=0, students=len(HEAVY))
    columns = ["grid", "mode", "run", "setting", "seconds (median)", "range", "× the faster peer's speed"]
    if options.heavy:
        result = Result("grid-heavy", "2 × 4 cells, ResNet-50 teachers, 96 px, batch 16", columns)
        for student, steps in list(HEAVY.items())[: options.students]:
            for mode in OURS:
                compare(heavy_grid(student, steps), mode, options.repeats, result, single=False)
    else:
        result = Result("grid", f"2 × 4 cells of the default recipe, {options.images} images, 1 epoch", columns)
        for mode in OURS:
            compare(default_grid(options.images), mode, options.repeats, result, single=True)
    result.finish(compute_of())


if __name__ == "__main__":
    main()
