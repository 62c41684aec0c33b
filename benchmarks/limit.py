"""The grid against its own floors: `python -m benchmarks.limit`.

Live, a grid cannot be faster than two teacher forwards and eight student steps a batch (2a + 8b, measured apart).
Cached, it cannot be faster than eight students trained by a minimal loop with plain cross-entropy and no teacher.
"""

from __future__ import annotations

import statistics

from benchmarks.common import Result, arguments, compute_of, interleave, median_ratio
from benchmarks.ours import GRID, Ours, plain_cross_entropy
from benchmarks.workload import TEACHERS, default_grid

MORE_TEMPERATURES = (1.0, 2.0, 3.0, 64.0, 0.5, 1.5, 4.0, 6.0, 8.0, 12.0, 16.0, 32.0)


def main() -> None:
    options = arguments(__doc__ or "", images=4096, repeats=5, bf16=0)
    result = Result("limit", "The grid against its floors, default recipe", ["quantity", "value", "bound"])
    for precision in ("float32", "bf16") if options.bf16 else ("float32",):
        work = default_grid(options.images)
        ours = Ours(work, compute_of(precision=precision, teacher_precision=precision))
        ours.live(GRID[:1])
        ours.fill()
        wide = [(teacher, temperature) for teacher in TEACHERS for temperature in MORE_TEMPERATURES]
        parts: list[tuple[float, float]] = []
        runs = {
            "live": ours.live,
            "parts": lambda ours=ours, parts=parts: parts.append(ours.parts()),
            "cached": ours.cached,
            "floor": lambda ours=ours: plain_cross_entropy(ours),
            "24 cells, cached": lambda ours=ours, wide=wide: ours.cached(wide),
        }
        seconds = interleave(runs, options.repeats)
        ours.close()
        bounds = [work.steps * (2 * a + 8 * b) for a, b in parts]
        one_more = [(w - c) / 16 for w, c in zip(seconds["24 cells, cached"], seconds["cached"], strict=True)]
        student = [floor / 8 for floor in seconds["floor"]]
        result.add(f"{precision}: teacher forward a, ms", 1e3 * statistics.median(a for a, _ in parts), None)
        result.add(f"{precision}: student step b, ms", 1e3 * statistics.median(b for _, b in parts), None)
        result.add(f"{precision}: live grid / (2a + 8b)", median_ratio(seconds["live"], bounds), "≤ 1.05")
        result.add(
            f"{precision}: cached grid / plain cross-entropy",
            median_ratio(seconds["cached"], seconds["floor"]),
            "≤ 1.10",
        )
        result.add(f"{precision}: one more temperature / plain student", median_ratio(one_more, student), "≤ 1.05")
    result.finish(ours.compute)


if __name__ == "__main__":
    main()
