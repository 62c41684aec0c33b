from __future__ import annotations

import pytest
import torch

from tosmooth import ClassCentroids, similar_classes
from tosmooth.analysis.similarity import default_similar_count, farthest_classes, masks_from_groups


def test_nearest_and_farthest_on_a_line():
    similar, dissimilar = similar_classes(torch.tensor([[0.0], [1.0], [2.5], [10.0], [11.0]]), 1)
    assert similar.nonzero().tolist() == [[0, 1], [1, 0], [2, 1], [3, 4], [4, 3]]
    assert dissimilar.nonzero().tolist() == [[0, 4], [1, 4], [2, 4], [3, 0], [4, 0]]


def test_ties_go_to_the_lower_index_and_sets_are_disjoint():
    square = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    similar, dissimilar = similar_classes(square, 1)
    assert similar[0].nonzero().flatten().tolist() == [1]
    assert dissimilar[0].nonzero().flatten().tolist() == [3]
    for m in (1, 2, 12):
        one, other = similar_classes(torch.randn(26, 3), m)
        assert (one.sum(1) == m).all()
        assert (other.sum(1) == m).all()
        assert not (one & other).any()
        assert not one.diagonal().any()


def test_of_several_models_the_mean_relative_distance_decides():
    """Relative distances of class 0 to 1, 2, 3: (0.75, 0.75, 1.5) and (1.8, 0.6, 0.6) have the mean (1.275, …)."""
    one, other = torch.tensor([[0.0], [1.0], [-1.0], [2.0]]), torch.tensor([[0.0], [3.0], [1.0], [-1.0]])
    similar, dissimilar = similar_classes([one, other], 1)
    assert similar[0].tolist() == [False, False, True, False]  # 0.675
    assert dissimilar[0].tolist() == [False, True, False, False]  # 1.275; the first alone would say class 3
    assert similar_classes(one, 1)[1][0].tolist() == [False, False, False, True]
    for alone, listed in zip(similar_classes(one, 1), similar_classes([one, 10 * one], 1), strict=True):
        assert torch.equal(alone, listed)  # a scale has no say
    with pytest.raises(ValueError, match="same classes"):
        similar_classes([one, one[:3]], 1)


def test_a_class_without_samples_belongs_to_no_set():
    centroids = torch.randn(6, 3)
    centroids[2] = float("nan")
    for mask in similar_classes(centroids, 2):
        assert not mask[2].any()
        assert not mask[:, 2].any()


@pytest.mark.parametrize(("classes", "m"), [(3, 1), (4, 1), (10, 3), (16, 5), (1000, 5)])
def test_default_count(classes, m):
    assert default_similar_count(classes) == m


def test_groups():
    similar, dissimilar = masks_from_groups([[0, 1, 2], [3, 4]], 6)
    assert similar[0].nonzero().flatten().tolist() == [1, 2]
    assert dissimilar[0].nonzero().flatten().tolist() == [3, 4]
    assert not similar[5].any()
    assert not dissimilar[5].any()
    with pytest.raises(ValueError, match="two groups"):
        masks_from_groups([[0, 1], [1, 2]], 3)
    with pytest.raises(ValueError, match="outside"):
        masks_from_groups([[0, 9]], 3)


def test_wrong_input():
    with pytest.raises(ValueError, match="at least 3"):
        similar_classes(torch.randn(2, 3), 1)
    with pytest.raises(ValueError, match=r"m must be in \[1, 2\]"):
        similar_classes(torch.randn(5, 3), 3)


def test_an_accumulator_will_do():
    points = torch.tensor([[0.0], [1.0], [2.5], [10.0]])
    found = ClassCentroids(4, 1)
    found.update(points, torch.arange(4))
    for one, other in zip(similar_classes(found, 1), similar_classes(points, 1), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("groups", [[[0, 1, 2]], [[0], [1], [2]], [[0, 1], []], []])
def test_groups_that_leave_s1_or_s2_empty_for_every_class(groups):
    with pytest.raises(ValueError, match="at least two groups"):
        masks_from_groups(groups, 3)


def test_the_farthest_of_the_allowed_classes():
    centroids = torch.tensor([[0.0], [1.0], [2.0], [10.0], [float("nan")]])
    allowed = torch.ones(5, 5, dtype=torch.bool) & ~torch.eye(5, dtype=torch.bool)
    allowed[0, 3] = False
    chosen = farthest_classes(centroids, allowed, 1)
    assert [row.nonzero().flatten().tolist() for row in chosen] == [[2], [3], [3], [0], []]
    assert (farthest_classes(centroids, allowed, 9)[0]).nonzero().flatten().tolist() == [1, 2]
    assert torch.equal(farthest_classes([centroids, 2 * centroids], allowed, 1), chosen)
    for m, mask in ((0, allowed), (1, allowed[:4, :4])):
        with pytest.raises(ValueError, match="m of at least 1"):
            farthest_classes(centroids, mask, m)


@pytest.mark.parametrize("centroids", [torch.zeros(5), torch.zeros(3, 2, 2), torch.zeros(5, 2, dtype=torch.int64)])
def test_what_are_no_centroids_is_refused(centroids: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"centroids must be floats \(K, D\)"):
        similar_classes(centroids, 1)
