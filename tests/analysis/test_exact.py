"""Apple's GPUs have no float64: whatever sums in it goes to the CPU first, and finds the same there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.apple import OnApple
from tosmooth.analysis.calibration import ClassificationMetrics
from tosmooth.analysis.centroids import ClassCentroids
from tosmooth.analysis.class_scores import agreement
from tosmooth.analysis.diffusion import centroid_distances, diffusion_index
from tosmooth.analysis.selective import risk_coverage_area
from tosmooth.analysis.separation import ClassSeparation
from tosmooth.analysis.smoothing_statistics import SmoothingStatistics
from tosmooth.analysis.smoothness import smoothness
from tosmooth.analysis.soft_targets import SoftTargets
from tosmooth.analysis.stability import stability
from tosmooth.analysis.temperature import fit_temperature
from tosmooth.audit.collecting import Collected

LOGITS = torch.randn(40, 5, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(40) % 5
EVERY_PAIR = ~torch.eye(5, dtype=torch.bool)


def scored(logits: Tensor, labels: Tensor) -> dict[str, float]:
    found = ClassificationMetrics(5)
    found.update(logits, labels)
    return found.compute()


def collected(logits: Tensor, labels: Tensor) -> float:
    found = Collected(5, [1.0, 4.0])
    found.update(logits, labels, logits)
    return found.stability()


def fed(make: Callable[[], object]) -> Callable[[Tensor, Tensor], object]:
    def feed(logits: Tensor, labels: Tensor) -> object:
        found = make()
        found.update(logits, labels)  # type: ignore[attr-defined]
        return vars(found)

    return feed


@pytest.mark.parametrize(
    "measure",
    [
        lambda logits, labels: smoothness(logits.softmax(1), labels),
        lambda logits, labels: stability(logits.softmax(1), labels),
        lambda logits, labels: centroid_distances(logits[:5]),
        lambda logits, labels: diffusion_index(logits[:5], logits[5:10], EVERY_PAIR),
        lambda logits, labels: risk_coverage_area(logits[:, 0], labels == 1),
        lambda logits, labels: agreement(logits.argmax(1), labels),
        lambda logits, labels: fit_temperature(logits, labels),
        fed(lambda: ClassCentroids(5, 5)),
        fed(lambda: ClassSeparation(LOGITS[:5], EVERY_PAIR)),
        fed(lambda: SmoothingStatistics(5)),
        fed(lambda: SoftTargets(5, [1.0, 4.0])),
        scored,
        collected,
    ],
)
def test_it_is_the_same_from_an_apple_gpu(measure: Callable[[Tensor, Tensor], object]) -> None:
    here, there = measure(LOGITS, LABELS), measure(OnApple(LOGITS), OnApple(LABELS))
    torch.testing.assert_close(tensors(there), tensors(here), rtol=1e-6, atol=1e-7, equal_nan=True)


def tensors(found: object) -> object:
    if isinstance(found, dict):
        return {name: tensors(value) for name, value in found.items() if isinstance(value, Tensor | float | int)}
    return found.cpu() if isinstance(found, Tensor) else found


def test_the_apple_gpu_refuses_what_a_real_one_does() -> None:
    on_apple = OnApple(LOGITS)
    for wrong in (on_apple.double, lambda: on_apple + LOGITS, lambda: on_apple.to("cpu", torch.float64)):
        with pytest.raises(TypeError):
            wrong()
