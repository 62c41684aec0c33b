"""Numbered outcomes are torchvision's transforms, and stored views are what an epoch without a cache could show."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from tosmooth.data.augmentation import train_transform
from tosmooth.data.views import EachView, FreshViews, Outcomes, StoredViews, outcomes_of

SIDE = 6


def known(name: str) -> Outcomes:
    found = outcomes_of(name, SIDE, (SIDE, SIDE))
    assert found is not None
    return found


def all_outcomes(name: str, image: torch.Tensor) -> torch.Tensor:
    """Every outcome of one image, (count, C, H, W)."""
    numbered = known(name)
    return numbered.apply(image.expand(numbered.count, -1, -1, -1), torch.arange(numbered.count))


@pytest.mark.parametrize(("name", "count"), [("none", 1), ("flip", 2), ("crop_flip", 162)])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_outcomes_are_those_of_the_transform_and_equally_likely(name: str, count: int, channels: int) -> None:
    """Pixel for pixel: what torchvision draws is in the list, all of the list is drawn, and evenly."""
    torch.manual_seed(0)
    image = torch.randint(1, 256, (channels, SIDE, SIDE), dtype=torch.uint8)  # no pixel is taken for padding
    positions = {out.numpy().tobytes(): number for number, out in enumerate(all_outcomes(name, image))}
    assert len(positions) == known(name).count == count
    transform = train_transform(name, SIDE)
    drawn = np.zeros(count)
    for _ in range(30 * count):
        drawn[positions[transform(image).numpy().tobytes()]] += 1
    assert (drawn > 0).all()
    assert count == 1 or chisquare(drawn).pvalue > 1e-3


def test_a_batch_is_augmented_sample_by_sample() -> None:
    images = torch.randint(256, (40, 3, SIDE, SIDE), dtype=torch.uint8)
    numbers = torch.randint(162, (40,))
    batch = known("crop_flip").apply(images, numbers)
    for image, number, out in zip(images, numbers, batch, strict=True):
        assert torch.equal(all_outcomes("crop_flip", image)[number], out)


@pytest.mark.parametrize(
    ("name", "shape"),
    [("imagenet", (SIDE, SIDE)), ("cub", (SIDE, SIDE)), ("crop_flip", None), ("crop_flip", (SIDE, 9))],
)
def test_what_cannot_be_numbered(name: str, shape: tuple[int, int] | None) -> None:
    assert outcomes_of(name, SIDE, shape) is None


def test_fresh_views_are_independent_draws() -> None:
    """Uniform over outcomes, another draw each epoch and seed, and the same for the same."""
    first = FreshViews(3).epoch(0, 4000, 162).outcomes
    assert first is not None
    assert chisquare(np.bincount(first, minlength=162)).pvalue > 1e-3
    assert np.array_equal(first, FreshViews(3).epoch(0, 4000, 162).outcomes)
    for other in (FreshViews(3).epoch(1, 4000, 162), FreshViews(4).epoch(0, 4000, 162)):
        assert other.outcomes is not None
        assert (first == other.outcomes).mean() == pytest.approx(1 / 162, abs=0.01)


def test_views_do_not_follow_the_order_of_the_epoch() -> None:
    """Both are drawn from seed and epoch; the same stream would tie the flip of a sample to its place."""
    order = np.random.default_rng((0, 0)).permutation(2000)
    flips = FreshViews(0).epoch(0, 2000, 2).outcomes
    assert flips is not None
    early = flips[order[:1000]].mean()
    assert early == pytest.approx(0.5, abs=0.06)


def test_storing_every_outcome_loses_nothing() -> None:
    for epoch in range(3):
        fresh, stored = FreshViews(7).epoch(epoch, 50, 2), StoredViews(2, 0, 7).epoch(epoch, 50, 2)
        assert np.array_equal(fresh.outcomes, stored.outcomes)
        assert np.array_equal(stored.outcomes, stored.slots)


@pytest.mark.parametrize("outcomes", [162, None])
def test_few_stored_views_are_each_shown_once_in_as_many_epochs(outcomes: int | None) -> None:
    schedule = StoredViews(4, 0, seed=5)
    slots = np.stack([schedule.epoch(epoch, 300, outcomes).slots for epoch in range(4)])  # type: ignore[arg-type]
    assert (np.sort(slots, axis=0) == np.arange(4)[:, None]).all()
    assert len(np.unique(slots[0])) == 4  # samples do not march in step
    other = StoredViews(4, 0, seed=6).epoch(0, 300, outcomes).slots
    assert not np.array_equal(slots[0], other)


def test_a_stored_view_is_the_same_for_every_seed_and_differs_from_the_others() -> None:
    """What slot 2 of sample 9 shows depends on the seed of the views alone."""
    shown = np.stack([EachView(4, 11).epoch(v, 200, 162).outcomes for v in range(4)], axis=1)  # type: ignore[arg-type]
    assert all(len(set(row)) == 4 for row in shown)
    for seed in (0, 1):
        views = StoredViews(4, 11, seed).epoch(3, 200, 162)
        assert views.slots is not None
        assert np.array_equal(views.outcomes, shown[np.arange(200), views.slots])
    assert not np.array_equal(shown[:, 0], EachView(4, 12).epoch(0, 200, 162).outcomes)


def test_more_views_than_outcomes_go_round_again() -> None:
    shown = np.stack([EachView(4, 0).epoch(v, 100, 2).outcomes for v in range(4)], axis=1)  # type: ignore[arg-type]
    assert (shown.sum(1) == 2).all()


def test_streams_of_stored_views_are_keyed_by_view_and_sample_and_apart_from_fresh_ones() -> None:
    stored = [EachView(3, 0).epoch(v, 5, None).stream(i) for v in range(3) for i in range(5)]
    fresh = [FreshViews(0).epoch(v, 5, None).stream(i) for v in range(3) for i in range(5)]
    assert len(set(stored) | set(fresh)) == 30
    views = StoredViews(3, 0, seed=8).epoch(1, 5, None)
    assert views.slots is not None
    assert views.stream(4) == EachView(3, 0).epoch(int(views.slots[4]), 5, None).stream(4)
