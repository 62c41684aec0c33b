"""What the analysis adds to an evaluation pass: `python -m benchmarks.centroids`."""

from __future__ import annotations

import statistics

import torch
from torch import Tensor

from benchmarks.common import Result, arguments, compute_of, interleave, median_ratio
from benchmarks.memory import in_process, peak_extra
from benchmarks.workload import default_grid
from tosmooth.analysis.centroids import ClassCentroids
from tosmooth.config.schema import DataConfig
from tosmooth.data.pipeline import ImagePipeline
from tosmooth.training.evaluation import evaluate

CLASSES, WIDTH, SAMPLES, BATCH = 1000, 2048, 20_000, 500


def batches() -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    device = compute_of().device
    one = torch.randn(BATCH, WIDTH, generator=generator).to(device)
    return [(one, torch.randint(CLASSES, (BATCH,), generator=generator).to(device)) for _ in range(SAMPLES // BATCH)]


def streaming(parts: list[tuple[Tensor, Tensor]]) -> None:
    centroids = ClassCentroids(CLASSES, WIDTH)
    for features, labels in parts:
        centroids.update(features, labels)


def collecting(parts: list[tuple[Tensor, Tensor]]) -> None:
    """The usual way: keep all features, then average class by class."""
    features = torch.cat([f.clone() for f, _ in parts])
    labels = torch.cat([y for _, y in parts])
    for index in range(CLASSES):
        own = features[labels == index]
        own.double().mean(0), own.double().var(0).sum()


def case(how: str) -> dict[str, int]:
    """Peak bytes of one way."""
    parts = batches()
    run = {"streaming": streaming, "collecting": collecting}[how]
    return {"bytes": peak_extra(lambda: run(parts), compute_of().device)}


def main() -> None:
    options = arguments(__doc__ or "", images=4000, repeats=5)
    result = Result("centroids", "What the analysis adds to an evaluation pass", ["quantity", "value"])
    work = default_grid(options.images)
    compute = compute_of()
    pipeline = ImagePipeline(DataConfig(), compute.device)
    for name in (work.student, work.teacher):
        model = compute.place(work.build(name, 0))
        passes = pipeline.evaluation(work.split, batch_size=500)
        seconds = interleave(
            {
                "metrics": lambda m=model, p=passes: evaluate(m, p, compute),
                "metrics and centroids": lambda m=model, p=passes: evaluate(m, p, compute, centroids=True),
                "and kept features": lambda m=model, p=passes: evaluate(m, p, compute, centroids=True, keep=(0, 1, 2)),
            },
            options.repeats,
        )
        for what in ("metrics and centroids", "and kept features"):
            ratio = median_ratio(seconds[what], seconds["metrics"])
            result.add(f"{name}, {options.images} images: time with {what} / metrics alone", ratio)
    parts = batches()
    seconds = interleave({"streaming": lambda: streaming(parts), "collecting": lambda: collecting(parts)}, 3)
    where = f"K = {CLASSES}, D = {WIDTH}, N = {SAMPLES}"
    for how in seconds:
        result.add(f"{where}: {how}, seconds", statistics.median(seconds[how]))
        result.add(f"{where}: {how}, peak MiB", in_process("benchmarks.centroids", how=how)["bytes"] / 2**20)
    result.finish(compute)


if __name__ == "__main__":
    main()
