"""d′ against closed forms, its invariances, and the stream against the direct computation."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tosmooth.analysis.separation import ClassScatter, ClassSeparation, separation_from

ALL = torch.ones(3, 3, dtype=torch.bool)
ONES = torch.ones(2, dtype=torch.long)


def gaussians(spread: Tensor, centres: Tensor, samples: int = 40_000) -> tuple[Tensor, Tensor]:
    """Samples of three classes with these standard deviations (3, D) about these centres (3, D)."""
    torch.manual_seed(0)
    labels = torch.arange(samples) % 3
    return centres[labels] + spread[labels] * torch.randn(samples, centres.shape[1], dtype=torch.float64), labels


CENTRES = torch.tensor([[0.0, 0, 0, 0], [3, 0, 0, 0], [0, 4, 0, 0]], dtype=torch.float64)
SPREAD = torch.tensor([[1.0, 2, 5, 5], [1, 2, 5, 5], [3, 1, 5, 5]], dtype=torch.float64)


def centroids_of(features: Tensor, labels: Tensor, classes: int = 3) -> Tensor:
    return torch.stack([features[labels == k].mean(0) for k in range(classes)])


def separation(features: Tensor, labels: Tensor, pairs: Tensor = ALL, parts: int = 1) -> Tensor:
    found = ClassSeparation(centroids_of(features, labels), pairs)
    for own, which in zip(features.chunk(parts), labels.chunk(parts), strict=True):
        found.update(own, which)
    return found.d_prime()


def test_shifted_gaussians_have_the_closed_form_whatever_lies_off_the_line():
    found = separation(*gaussians(SPREAD, CENTRES))
    assert found[0, 1] == pytest.approx(3.0, rel=0.02)  # 3 / 1
    assert found[0, 2] == pytest.approx(4 / math.sqrt((2**2 + 1**2) / 2), rel=0.02)
    # Along (−3, 4) / 5: variances 0.36 · 1 + 0.64 · 4 = 2.92 and 0.36 · 9 + 0.64 · 1 = 3.88.
    assert found[1, 2] == pytest.approx(5 / math.sqrt((2.92 + 3.88) / 2), rel=0.02)
    assert torch.equal(found.nan_to_num(), found.T.nan_to_num())


def test_it_does_not_change_with_place_scale_and_rotation():
    features, labels = gaussians(SPREAD, CENTRES, 600)
    turned, _ = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64))
    torch.testing.assert_close(
        separation(7.0 * features @ turned + 100.0, labels), separation(features, labels), equal_nan=True
    )


def test_the_stream_is_the_direct_computation():
    features, labels = gaussians(SPREAD, CENTRES, 501)
    centres = centroids_of(features, labels)
    direct = torch.full((3, 3), float("nan"), dtype=torch.float64)
    for a in range(3):
        for b in range(3):
            if a != b:
                line = (centres[b] - centres[a]) / (centres[b] - centres[a]).norm()
                pooled = (((features[labels == k] @ line).var()) for k in (a, b))
                direct[a, b] = (centres[b] - centres[a]).norm() / (sum(pooled) / 2).sqrt()
    for parts in (1, 7):
        torch.testing.assert_close(separation(features, labels, parts=parts), direct, equal_nan=True)


def test_one_pass_that_keeps_the_scatter_is_the_same_as_two():
    features, labels = gaussians(SPREAD, CENTRES, 501)
    features += 30.0  # a mean far from 0, which sums of products suffer from
    one, other = ClassScatter(3, 4), ClassScatter(3, 4)
    one.update(features[:200], labels[:200])
    other.update(torch.cat([features[200:], torch.full((2, 4), float("nan"))]), torch.cat([labels[200:], -100 * ONES]))
    one.merge(other)
    torch.testing.assert_close(one.d_prime(ALL), separation(features, labels), equal_nan=True, rtol=1e-9, atol=0)
    pair = torch.zeros(3, 3, dtype=torch.bool)
    pair[0, 1] = True
    assert one.d_prime(pair).isfinite().nonzero().tolist() == [[0, 1], [1, 0]]
    lonely = ClassScatter(3, 4)
    lonely.update(features[:2], torch.tensor([0, 1]))
    assert bool(lonely.d_prime(ALL).isnan().all())


@pytest.mark.parametrize(("size", "reason"), [((0, 4), "at least 1"), ((1000, 2048), "more than 134,217,728 numbers")])
def test_sizes_of_the_scatter(size: tuple[int, int], reason: str):
    with pytest.raises(ValueError, match=reason):
        ClassScatter(*size)


def test_parts_of_several_processes_add_up():
    features, labels = gaussians(SPREAD, CENTRES, 300)
    parts = [ClassSeparation(centroids_of(features, labels), ALL) for _ in range(2)]
    for part, own, which in zip(parts, features.chunk(2), labels.chunk(2), strict=True):
        part.update(own, which)
    sums = [(a + b) for a, b in zip(*((p._counts, p._sums, p._squares) for p in parts), strict=True)]
    parts[0].reduce(lambda _: sums.pop(0))
    torch.testing.assert_close(parts[0].d_prime(), separation(features, labels), equal_nan=True)


def test_only_what_is_asked_for_and_known():
    features, labels = gaussians(SPREAD, CENTRES, 300)
    one = torch.zeros(3, 3, dtype=torch.bool)
    one[0, 1] = True
    found = separation(features, labels, one)
    assert found.isfinite().nonzero().tolist() == [[0, 1], [1, 0]]
    still = separation(torch.where((labels == 2)[:, None], CENTRES[2], 0.0) + 0.0, labels)
    assert bool(still.isnan().all())  # no spread at all
    lonely = ClassSeparation(CENTRES, ALL)
    lonely.update(features[:2], torch.tensor([0, -100]))
    assert bool(lonely.d_prime().isnan().all())


def test_the_index_is_a_mean_over_classes_of_means_over_their_sets():
    d = torch.tensor([[float("nan"), 2, 4], [2, float("nan"), float("nan")], [4, 6, float("nan")]])
    sets = torch.tensor([[0, 1, 1], [1, 0, 1], [0, 1, 0]], dtype=torch.bool)
    assert separation_from(d, sets) == pytest.approx((3 + 2 + 6) / 3)
    assert math.isnan(separation_from(d, torch.zeros(3, 3, dtype=torch.bool)))


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"got \(3, 4\) and \(2, 2\)"):
        ClassSeparation(CENTRES, torch.ones(2, 2, dtype=torch.bool))
