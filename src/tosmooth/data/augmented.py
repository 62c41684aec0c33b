"""Images of a split as the training augmentation shows them: made when asked for, or stored as pixels before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from tosmooth.data.augmentation import transformed
from tosmooth.data.base import ImageSplit
from tosmooth.data.pixel_store import PixelStore
from tosmooth.data.views import EachView, EpochViews, Outcomes, StoredViews, ViewSchedule
from tosmooth.errors import DataError

Transform = Callable[[Tensor], Tensor]


class Key(NamedTuple):
    """What a worker needs to know of a sample: everything random about it travels with its index."""

    sample: int
    slot: int | None
    outcome: int | None
    stream: tuple[int, ...]


def key_of(index: int, shown: EpochViews) -> Key:
    """What a sample shows in an epoch."""
    slot = None if shown.slots is None else int(shown.slots[index])
    outcome = None if shown.outcomes is None else int(shown.outcomes[index])
    return Key(index, slot, outcome, shown.stream(index))


def view_of(image: Tensor, key: Key, transform: Transform, outcomes: Outcomes | None, name: str) -> Tensor:
    """A view of an image, uint8 (C, H, W) in and out.

    Raises:
        DataError: the transform cannot crop it; `name` says which image it is.
    """
    if outcomes is not None:
        return outcomes.apply(image[None], torch.tensor([key.outcome]))[0]
    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed, which would reseed accelerators too.
        torch.default_generator.manual_seed(int(np.random.SeedSequence(key.stream).generate_state(1)[0]))
        return transformed(image, transform, name)


@dataclass(frozen=True)
class ViewPixels:
    """The stored views of a split: view v of sample i is image V · i + v of the store.

    Attributes:
        store: all of it filled.
        views: V of them, and their seed, as schedules have them.
    """

    store: PixelStore
    views: EachView

    def serves(self, schedule: ViewSchedule) -> bool:
        """Whether a schedule shows these views."""
        own = (self.views.count, self.views.view_seed)
        return isinstance(schedule, StoredViews | EachView) and (schedule.count, schedule.view_seed) == own

    def image(self, sample: int, slot: int) -> Tensor | None:
        """A view, uint8 (C, H, W); None where the image could not be read."""
        return self.store.image(self.views.count * sample + slot)


class Augmented(Dataset[tuple[Tensor, int, Key] | DataError]):
    """Views by their key. Errors are handed on as values: raised in a worker, they arrive wrapped in its traceback."""

    def __init__(
        self, split: ImageSplit, transform: Transform, outcomes: Outcomes | None, stored: ViewPixels | None = None
    ) -> None:
        self.split, self.transform, self.outcomes, self.stored = split, transform, outcomes, stored
        self.labels = split.labels.tolist()

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, key: Key) -> tuple[Tensor, int, Key] | DataError:
        image = None
        if self.stored is not None and key.slot is not None:
            image = self.stored.image(key.sample, key.slot)
        if image is None:
            try:
                image = self.split[key.sample]
                image = view_of(image, key, self.transform, self.outcomes, self.split.describe(key.sample))
            except DataError as error:
                return error
        return image, self.labels[key.sample], key


class AllViews(Dataset[list[Tensor | DataError]]):
    """The views V · i + v of a split that is asked for, all of one image: it is read once for them.

    Args:
        split: of N images.
        transform: as for `Augmented`.
        outcomes: as for `Augmented`.
        views: V of them, and their seed.
    """

    def __init__(self, split: ImageSplit, transform: Transform, outcomes: Outcomes | None, views: EachView) -> None:
        self.split, self.transform, self.outcomes, self.views = split, transform, outcomes, views
        self.count = views.count

    def __getstate__(self) -> dict[str, Any]:
        """For processes that are started anew: what is shown cannot be sent, and is drawn again."""
        return {name: value for name, value in self.__dict__.items() if name != "_shown"}

    @cached_property
    def _shown(self) -> list[EpochViews]:
        number = None if self.outcomes is None else self.outcomes.count
        return [self.views.epoch(view, len(self.split), number) for view in range(self.count)]

    def __len__(self) -> int:
        return self.count * len(self.split)

    def __getitem__(self, wanted: range) -> list[Tensor | DataError]:
        sample, name = wanted.start // self.count, self.split.describe(wanted.start // self.count)
        try:
            image = self.split[sample]
        except DataError as error:
            return [error for _ in wanted]
        found: list[Tensor | DataError] = []
        for number in wanted:
            key = key_of(sample, self._shown[number % self.count])
            try:
                found.append(view_of(image, key, self.transform, self.outcomes, name))
            except DataError as error:
                found.append(error)
        return found

    def requests(self, first: int, last: int) -> list[range]:
        """The views from `first` to `last` (exclusive), image by image."""
        cuts = [first, *range((first // self.count + 1) * self.count, last, self.count), last]
        return [range(start, end) for start, end in pairwise(cuts)]
