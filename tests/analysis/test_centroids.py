from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from tosmooth import ClassCentroids
from tosmooth.analysis.parts import AT_ONCE


@pytest.fixture
def sample() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    # A mean far from the origin: where a naive sum of squares loses its digits.
    features = torch.randn(400, 6, generator=generator, dtype=torch.float64) + 1e4
    return features, torch.randint(0, 30, (400,), generator=generator)


def test_equal_to_a_direct_computation(sample):
    features, labels = sample
    found = ClassCentroids(30, 6)
    for start in range(0, 400, 37):
        found.update(features[start : start + 37], labels[start : start + 37])
    for index in range(30):
        own = features[labels == index]
        assert found.counts[index] == len(own)
        torch.testing.assert_close(found.centroids[index], own.mean(0), rtol=1e-12, atol=0)
        torch.testing.assert_close(found.within_scatter[index], own.var(0).sum(), rtol=1e-8, atol=0)


def test_merged_parts_equal_one_pass(sample):
    features, labels = sample
    whole = ClassCentroids(30, 6)
    whole.update(features, labels)
    parts = [ClassCentroids(30, 6) for _ in range(3)]
    for rank, part in enumerate(parts):
        part.update(features[rank::3], labels[rank::3])
    parts[0].merge(parts[1])
    parts[0].merge(ClassCentroids(30, 6))
    parts[0].merge(parts[2])
    torch.testing.assert_close(parts[0].centroids, whole.centroids, rtol=1e-12, atol=0)
    torch.testing.assert_close(parts[0].within_scatter, whole.within_scatter, rtol=1e-8, atol=0)
    assert torch.equal(parts[0].counts, whole.counts)


def test_parts_reduced_over_three_runners_equal_one_pass(sample):
    """Each in a thread, as processes would be; the third has seen nothing."""
    features, labels = sample
    whole, parts = ClassCentroids(30, 6), [ClassCentroids(30, 6) for _ in range(3)]
    whole.update(features, labels)
    for rank, part in enumerate(parts[:2]):
        part.update(features[rank::2], labels[rank::2])
    box, everyone = [torch.zeros(())] * 3, threading.Barrier(3, timeout=30)

    def run(rank: int) -> None:
        def total(tensor: torch.Tensor) -> torch.Tensor:
            box[rank] = tensor
            everyone.wait()
            found = box[0] + box[1] + box[2]
            everyone.wait()
            return found

        parts[rank].reduce(total)

    with ThreadPoolExecutor(3) as runners:
        list(runners.map(run, range(3)))
    for part in parts:
        torch.testing.assert_close(part.centroids, whole.centroids, rtol=1e-12, atol=0)
        torch.testing.assert_close(part.within_scatter, whole.within_scatter, rtol=1e-8, atol=0)
        assert torch.equal(part.counts, whole.counts)


def test_empty_and_single_classes_are_not_numbers():
    found = ClassCentroids(3, 2)
    found.update(torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), torch.tensor([0, 0, 1]))
    assert torch.equal(found.centroids[0], torch.tensor([2.0, 3.0], dtype=torch.float64))
    assert found.centroids[2].isnan().all()
    assert found.within_scatter[0] == 4.0
    assert found.within_scatter[1:].isnan().all()


def test_padding_is_skipped_and_state_survives():
    found = ClassCentroids(2, 1)
    found.update(torch.tensor([[1.0], [float("nan")], [3.0]]), torch.tensor([0, -100, 0]))
    again = ClassCentroids.from_state_dict(found.state_dict())
    again.update(torch.tensor([[5.0]]), torch.tensor([1]))
    assert again.counts.tolist() == [2, 1]
    assert again.centroids.flatten().tolist() == [2.0, 5.0]
    assert found.counts.tolist() == [2, 0]


@pytest.mark.parametrize(
    ("features", "labels", "reason"),
    [
        (torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64), r"\(N, 2\)"),
        (torch.zeros(2, 2), torch.zeros(3, dtype=torch.int64), r"\(N,\)"),
        (torch.zeros(1, 2), torch.tensor([2]), r"in \[0, 2\)"),
        (torch.full((1, 2), float("nan")), torch.tensor([0]), "NaN"),
    ],
)
def test_wrong_input(features, labels, reason):
    with pytest.raises(ValueError, match=reason):
        ClassCentroids(2, 2).update(features, labels)
    with pytest.raises(ValueError, match="cannot merge"):
        ClassCentroids(2, 2).merge(ClassCentroids(3, 2))


def test_more_rows_than_one_chunk():
    count = AT_ONCE["cpu"] + 1000
    features = torch.linspace(-1, 1, count, dtype=torch.float64)[:, None] + 1e3
    labels = torch.arange(count) % 2
    found = ClassCentroids(2, 1)
    found.update(features, labels)
    for index in (0, 1):
        own = features[labels == index]
        assert found.counts[index] == len(own)
        torch.testing.assert_close(found.centroids[index], own.mean(0), rtol=1e-12, atol=0)
        torch.testing.assert_close(found.within_scatter[index], own.var(0).sum(), rtol=1e-9, atol=0)


def test_a_refused_batch_adds_nothing():
    found = ClassCentroids(2, 1)
    with pytest.raises(ValueError, match="integers"):
        found.update(torch.ones(2, 1), torch.tensor([0.0, 1.0]))
    with pytest.raises(ValueError, match="infinite"):
        found.update(torch.tensor([[1.0], [float("inf")]]), torch.tensor([0, 1]))
    assert found.counts.tolist() == [0, 0]


def test_damaged_state_is_refused():
    state = ClassCentroids(3, 2).state_dict()
    with pytest.raises(ValueError, match="lack squares"):
        ClassCentroids.from_state_dict({name: state[name] for name in ("counts", "means")})
    with pytest.raises(ValueError, match="do not fit together"):
        ClassCentroids.from_state_dict(state | {"counts": state["counts"][:2]})
