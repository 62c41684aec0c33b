"""Views: the outcomes of a training augmentation, and which of them each sample shows in an epoch.

Flips and shifted crops have a small number of equally likely outcomes. Numbered, they can be drawn for a whole epoch at
once, applied to a whole batch at once, and named again later: a teacher's logits on outcome 1 of image 7 can be stored
and found. Other augmentations (random resized crops) have a view per random stream.

A schedule says which views an epoch shows. All randomness is a pure function of seeds, epoch and sample.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

Numbers = NDArray[np.int64]
STORED = 1  # keeps the streams of stored views apart from those of fresh ones
PADDING = 4  # pixels that `crop_flip` may shift by


@dataclass(frozen=True)
class Outcomes:
    """An augmentation as a numbered list of equally likely outcomes.

    Attributes:
        count: how many there are.
        apply: images (N, C, H, W) uint8 and outcome numbers (N,) in [0, count) → images, in one pass on their device.
    """

    count: int
    apply: Callable[[Tensor, Tensor], Tensor]


def outcomes_of(augmentation: str, size: int | None, shape: tuple[int, int] | None) -> Outcomes | None:
    """The outcomes of an augmentation, or None where they cannot be numbered.

    Args:
        augmentation: its name, or that of an evaluation transform.
        size: side of the crop.
        shape: height and width that all images have; None where they may differ.
    """
    if augmentation == "none":
        return Outcomes(1, _unchanged)
    if augmentation == "flip":
        return Outcomes(2, _flipped)
    if augmentation == "crop_flip" and size is not None and shape == (size, size):
        return Outcomes(2 * (2 * PADDING + 1) ** 2, _shifted)
    return None


def _unchanged(images: Tensor, numbers: Tensor) -> Tensor:
    return images


def _flipped(images: Tensor, numbers: Tensor) -> Tensor:
    """Outcome 1 is mirrored."""
    return torch.where(numbers.bool()[:, None, None, None], images.flip(3), images)


def _shifted(images: Tensor, numbers: Tensor) -> Tensor:
    """Outcome = (9 · row + column) · 2 + mirrored, of a crop out of the zero-padded image."""
    count, channels, height, width = images.shape
    shifts = 2 * PADDING + 1
    top, left, mirrored = numbers // 2 // shifts, numbers // 2 % shifts, (numbers % 2).bool()
    across = torch.arange(width, device=images.device)
    columns = left[:, None] + torch.where(mirrored[:, None], across.flip(0), across)  # (N, W)
    rows = top[:, None] + torch.arange(height, device=images.device)  # (N, H)
    padded = F.pad(images, (PADDING,) * 4)
    of_batch = torch.arange(count, device=images.device)[:, None, None, None]
    of_channel = torch.arange(channels, device=images.device)[None, :, None, None]
    return padded[of_batch, of_channel, rows[:, None, :, None], columns[:, None, None, :]]


@dataclass(frozen=True)
class EpochViews:
    """The views of one epoch.

    Attributes:
        slots: (N,) which of a sample's stored views; None where views are not stored.
        outcomes: (N,) numbers of the augmentation's outcomes; None where it has none.
        stream: sample index → entropy of the random stream that an augmentation without outcomes draws from.
    """

    slots: Numbers | None
    outcomes: Numbers | None
    stream: Callable[[int], tuple[int, ...]]


class ViewSchedule(ABC):
    """Which view each of `size` samples shows in an epoch."""

    @abstractmethod
    def epoch(self, epoch: int, size: int, outcomes: int | None) -> EpochViews:
        """The views of an epoch, for an augmentation with that many outcomes (None: not numbered)."""


@dataclass(frozen=True)
class FreshViews(ViewSchedule):
    """A new view for every sample and epoch: what training without a cache sees."""

    seed: int

    def epoch(self, epoch: int, size: int, outcomes: int | None) -> EpochViews:
        """Independent draws, keyed by (seed, epoch, sample)."""
        drawn = None if outcomes is None else _draw((self.seed, epoch), outcomes, size)
        return EpochViews(None, drawn, lambda index: (self.seed, epoch, index))


@dataclass(frozen=True)
class StoredViews(ViewSchedule):
    """One of `count` views of each sample, the same ones in every study that uses `view_seed`.

    Where the augmentation has exactly `count` outcomes, all of them are stored and nothing is lost: the draws are those
    of `FreshViews` with the same seed. Otherwise a sample goes round its views from a random start, so that `count`
    epochs show each once.
    """

    count: int
    view_seed: int
    seed: int

    def epoch(self, epoch: int, size: int, outcomes: int | None) -> EpochViews:
        """Draws keyed by (seed, epoch, sample) among views keyed by (view_seed, sample)."""
        if outcomes == self.count:
            slots = _draw((self.seed, epoch), self.count, size)
        else:
            slots = (_draw((self.seed,), self.count, size) + epoch) % self.count
        return _stored(slots, self.count, self.view_seed, outcomes)


@dataclass(frozen=True)
class EachView(ViewSchedule):
    """Epoch v shows view v of every sample: the order in which stored views are computed."""

    count: int
    view_seed: int

    def epoch(self, epoch: int, size: int, outcomes: int | None) -> EpochViews:
        """View number `epoch` of all samples."""
        return _stored(np.full(size, epoch, dtype=np.int64), self.count, self.view_seed, outcomes)


def _draw(entropy: tuple[int, ...], count: int, size: int) -> Numbers:
    # The spawn key keeps these draws apart from the epoch's order, which has the same seed and epoch.
    return np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=(1,))).integers(count, size=size)


def _stored(slots: Numbers, count: int, view_seed: int, outcomes: int | None) -> EpochViews:
    chosen: Numbers | None = None
    if outcomes == count:
        chosen = slots
    elif outcomes is not None:
        chosen = _chosen_outcomes(len(slots), count, view_seed, outcomes)[np.arange(len(slots)), slots]
    return EpochViews(slots, chosen, lambda index: (view_seed, int(slots[index]), index, STORED))


def _chosen_outcomes(size: int, count: int, view_seed: int, outcomes: int) -> Numbers:
    """(size, count) outcome numbers: for each sample a random choice without repetition (as far as they last)."""
    generator = np.random.default_rng((view_seed, STORED))
    all_of_them = np.tile(np.arange(outcomes), (size, 1))
    rounds = [generator.permuted(all_of_them, axis=1) for _ in range(-(-count // outcomes))]
    return np.concatenate(rounds, axis=1)[:, :count]
