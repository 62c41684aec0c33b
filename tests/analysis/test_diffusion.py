from __future__ import annotations

import math

import pytest
import torch

from tosmooth import ClassCentroids, diffusion_index, similar_classes
from tosmooth.analysis import diffusion
from tosmooth.analysis.diffusion import NORMALISATIONS, relative_distances


def mask_of(classes: int, *pairs: tuple[int, int]) -> torch.Tensor:
    mask = torch.zeros(classes, classes, dtype=torch.bool)
    for row, column in pairs:
        mask[row, column] = True
    return mask


def seen(features: torch.Tensor, labels: torch.Tensor, classes: int) -> ClassCentroids:
    found = ClassCentroids(classes, features.shape[1])
    found.update(features, labels)
    return found


def test_hand_worked_three_classes():
    # A 3-4-5 triangle; then class 0 moves along the side of length 3, from 3 away from class 1 to 1 away.
    reference = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    raised = torch.tensor([[2.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    # Before: d01 = 3, d02 = 4, mean 3.5 → r01 = 6/7. After: d01 = 1, d02 = √20 → r01 = 2 / (1 + √20).
    expected = 1 - (2 / (1 + math.sqrt(20))) / (6 / 7)
    found = diffusion_index(reference, raised, mask_of(3, (0, 1)))
    assert found[0].item() == pytest.approx(expected, rel=1e-12)
    assert found[1:].isnan().all()  # empty S
    plain = diffusion_index(reference, raised, mask_of(3, (0, 1)), normalisation="none")
    assert plain[0].item() == pytest.approx(1 - 1 / 3)


@pytest.mark.parametrize("classes", [4, 40])
@pytest.mark.parametrize("debias", [False, True])
def test_scaling_rotating_and_translating_all_features_gives_zero(classes, debias):
    generator = torch.Generator().manual_seed(classes)
    labels = torch.arange(classes).repeat(6)
    centres = torch.randn(classes, 8, generator=generator, dtype=torch.float64) * 5
    features = centres[labels] + torch.randn(len(labels), 8, generator=generator, dtype=torch.float64)
    rotation = torch.linalg.qr(torch.randn(8, 8, generator=generator, dtype=torch.float64)).Q
    reference = seen(features, labels, classes)
    moved = seen(7.5 * features @ rotation + 3, labels, classes)
    for mask in similar_classes(reference.centroids, 1):
        eta = diffusion_index(reference, moved, mask, debias=debias)
        assert eta.abs().max() < 1e-10


def test_a_class_moved_towards_its_similar_classes_has_positive_eta_and_negative_towards_the_others():
    generator = torch.Generator().manual_seed(3)
    centroids = torch.randn(30, 10, generator=generator) * 4
    similar, dissimilar = similar_classes(centroids, 4)
    moved = centroids.clone()
    moved[7] = 0.5 * centroids[7] + 0.5 * centroids[similar[7]].mean(0)
    s1, s2 = (diffusion_index(centroids, moved, mask)[7].item() for mask in (similar, dissimilar))
    assert s1 > 0.05
    assert s1 - s2 > 0.05


def test_debiasing_takes_out_what_within_class_scatter_alone_adds():
    """Same true centres, six times the spread on the second side, few samples: only the plain index moves."""
    generator = torch.Generator().manual_seed(0)
    classes, dimensions, samples = 12, 40, 25
    centres = torch.randn(classes, dimensions, generator=generator, dtype=torch.float64) * 1.0
    centres[1] = centres[0] + 0.4 * torch.randn(dimensions, generator=generator, dtype=torch.float64)
    labels = torch.arange(classes).repeat_interleave(samples)
    mask = mask_of(classes, (0, 1))
    plain, debiased = [], []
    for _ in range(40):
        noise = torch.randn(2, len(labels), dimensions, generator=generator, dtype=torch.float64)
        tight = seen(centres[labels] + 0.3 * noise[0], labels, classes)
        wide = seen(centres[labels] + 1.8 * noise[1], labels, classes)
        plain.append(diffusion_index(tight, wide, mask)[0].item())
        debiased.append(diffusion_index(tight, wide, mask, debias=True)[0].item())
    bias, rest = sum(plain) / 40, sum(debiased) / 40
    assert bias < -0.1  # too far apart: looks like a flight from the similar class
    assert abs(rest) < abs(bias) / 4


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_many_classes_have_the_distances_of_few(offset: float):
    """The product form and its plain twin, with classes that coincide, almost coincide, lie far away, or are empty."""
    random = torch.Generator().manual_seed(0)
    points = torch.randn(200, 16, generator=random, dtype=torch.float64)
    points[1] = points[0]
    points[2] = points[0] + 1e-3
    points[3] += 1e4
    points[4] = float("nan")
    points += offset
    fast, plain = diffusion._by_product(points, slice(None)), diffusion._pairwise(points)
    known = ~plain.isnan()
    assert known.sum() == 199 * 199
    assert torch.equal(fast.isnan(), plain.isnan())
    assert fast[0, 1] == 0
    torch.testing.assert_close(fast[known], plain[known], rtol=1e-9 if offset == 0 else 1e-3, atol=0)


def test_normalisations():
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(5).repeat(20)
    features = torch.randn(5, 3, generator=generator)[labels] + 0.1 * torch.randn(100, 3, generator=generator)
    found = seen(features, labels, 5)
    distances = torch.cdist(found.centroids, found.centroids)
    others = distances.sum(1) / 4
    torch.testing.assert_close(relative_distances(found), distances / others[:, None])
    torch.testing.assert_close(
        relative_distances(found, normalisation="within_spread"), distances / found.within_scatter.sqrt()[:, None]
    )
    torch.testing.assert_close(relative_distances(found, normalisation="none"), distances)
    assert NORMALISATIONS[0] == "mean_distance"  # the declared one comes first


def test_a_class_without_samples_is_left_out_of_both_sides():
    generator = torch.Generator().manual_seed(5)
    centroids = torch.randn(6, 4, generator=generator)
    with_hole = centroids.clone()
    with_hole[5] = math.nan
    eta = diffusion_index(with_hole, with_hole, torch.ones(6, 6, dtype=torch.bool))
    assert (eta[:5].abs() < 1e-12).all()
    assert eta[5].isnan()


def test_wrong_input():
    centroids = torch.randn(4, 2)
    mask = torch.ones(4, 4, dtype=torch.bool)
    with pytest.raises(ValueError, match="agree on K"):
        diffusion_index(centroids, torch.randn(5, 2), mask)
    with pytest.raises(ValueError, match="boolean"):
        diffusion_index(centroids, centroids, mask.float())
    with pytest.raises(ValueError, match="ClassCentroids"):
        diffusion_index(centroids, centroids, mask, debias=True)
    with pytest.raises(ValueError, match="unknown normalisation"):
        diffusion_index(centroids, centroids, mask, normalisation="median")


def test_hand_worked_debiased_distance_and_within_spread():
    # Class 0 at ±1 around 0 and class 1 at ±1 around 3, two samples each: tr W = 2, tr W / n = 1.
    # Class 2 at ±2 around 8: tr W = 8, tr W / n = 4.
    features = torch.tensor([[-1.0], [1.0], [2.0], [4.0], [6.0], [10.0]])
    found = seen(features, torch.tensor([0, 0, 1, 1, 2, 2]), 3)
    distances = relative_distances(found, debias=True, normalisation="none")
    assert distances[0].tolist() == pytest.approx([0, math.sqrt(9 - 2), math.sqrt(64 - 5)])
    assert distances[1, 2].item() == pytest.approx(math.sqrt(25 - 5))
    spread = relative_distances(found, normalisation="within_spread")
    assert spread[0, 1].item() == pytest.approx(3 / math.sqrt(2))
    assert spread[2, 1].item() == pytest.approx(5 / math.sqrt(8))  # π's own spread, not k's


def test_scaling_gives_zero_also_where_only_one_side_lacks_a_class():
    generator = torch.Generator().manual_seed(6)
    reference = torch.randn(6, 4, generator=generator, dtype=torch.float64)
    raised = 2 * reference
    raised[5] = math.nan
    for one, other in ((reference, raised), (raised, reference)):
        eta = diffusion_index(one, other, torch.ones(6, 6, dtype=torch.bool))
        assert eta[:5].abs().max() < 1e-12
        assert eta[5].isnan()


def test_a_reference_distance_clipped_to_zero_gives_nan():
    # Classes 0 and 1 have one centroid and a wide spread: their debiased distance is 0.
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    reference = seen(torch.tensor([[-1.0], [1.0], [-1.0], [1.0], [50.0], [50.0]]), labels, 3)
    raised = seen(torch.tensor([[-1.0], [1.0], [9.0], [11.0], [50.0], [50.0]]), labels, 3)
    eta = diffusion_index(reference, raised, mask_of(3, (0, 1), (2, 0)), debias=True)
    assert eta[0].isnan()
    assert eta[2].isfinite()


def test_students_of_different_width_can_be_compared():
    wide = torch.tensor([[0.0, 0.0, 0.0], [3.0, 0.0, 0.0], [0.0, 4.0, 0.0]])
    eta = diffusion_index(wide[:, :2], 10 * wide, torch.ones(3, 3, dtype=torch.bool))
    assert eta.abs().max() < 1e-12
