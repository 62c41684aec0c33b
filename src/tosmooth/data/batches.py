"""Batches as a pure function of (seed, epoch, position)."""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from tosmooth.data.augmented import Augmented, Key, key_of
from tosmooth.data.base import SKIP_HINT, ImageSplit
from tosmooth.data.views import EpochViews, FreshViews, Numbers, Outcomes, ViewSchedule
from tosmooth.errors import DataError
from tosmooth.models.translation_inputs import TokenInputs


class Batch(NamedTuple):
    """Inputs, labels (N,) int64, and indices (N,) int64 into the split.

    Of mixed images (`data.mixing`), labels are class probabilities (N, K), and indices say whose image came first.

    Inputs are images uint8 (N, C, H, W), or padded sentence pairs, whose N target tokens are the samples.

    `views` (N,) int64 says which of its stored views each image shows; None where views are not stored. Where several
    processes work on a batch, each has a slice of it, and `total` says how many images all slices have (None = these).
    A `placeholder` holds an image that must not count: this process has no part in the batch, or nothing could be read.
    With `neighbour`, the first image is not of this slice but the one before it, for `Mixing`, which drops it.
    `on_host` has the numbers of `indices` and `views` once more, for whoever looks something up by them on the host: to
    fetch them back from a GPU is to wait for it.
    """

    inputs: Tensor | TokenInputs
    labels: Tensor
    indices: Tensor
    views: Tensor | None = None
    total: int | None = None
    placeholder: bool = False
    neighbour: bool = False
    on_host: tuple[Numbers, Numbers | None] | None = None

    @property
    def counted(self) -> int:
        """Images here that count."""
        return 0 if self.placeholder else len(self.labels)

    @property
    def mixed(self) -> bool:
        """Whether its images are mixed."""
        return self.labels.is_floating_point()

    @property
    def whole(self) -> int:
        """Images of the batch over all processes."""
        return len(self.labels) if self.total is None else self.total


class Batches(ABC):
    """Batches of a split whose order and augmentation depend on nothing but (seed, epoch, position).

    The order is a seeded permutation per epoch; what a sample shows is drawn by its schedule of views. So however the
    images come in, an epoch can be gone on with in its middle, without a replay.

    Args:
        size: samples of the split.
        batch_size: images a batch.
        seed: of the order, and of fresh views.
        shuffle: permute the split each epoch; also drops a last batch of one image, on which batch normalisation fails.
        drop_last: leave out the last, smaller batch, unless it is the only one.
        views: which view each sample shows; None = a fresh one each epoch.
        outcomes: the augmentation as numbered outcomes; None where it draws from a stream of its own.
        process: (rank, world): this process gets its slice of every batch, and all slices together are the batch.

    Attributes:
        neighbours: whether a slice begins with the image before it (the batch's last before its first), so that images
            can be mixed with their neighbours as in one process. To be set before an epoch is asked for.

    Raises:
        ValueError: batch_size below 1.
    """

    def __init__(
        self,
        size: int,
        *,
        batch_size: int,
        seed: int = 0,
        shuffle: bool = False,
        drop_last: bool = False,
        views: ViewSchedule | None = None,
        outcomes: Outcomes | None = None,
        process: tuple[int, int] = (0, 1),
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self.size, self.batch_size, self.seed, self.shuffle = size, batch_size, seed, shuffle
        self.views = views or FreshViews(seed)
        self.outcomes = outcomes
        self.process = process
        self.neighbours = False
        full, rest = divmod(size, batch_size)
        self._count = full + (rest > 0 and (full == 0 or not (drop_last or (shuffle and rest == 1))))

    def __len__(self) -> int:
        """Batches an epoch."""
        return self._count

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from position `start` on; the ones before it are not loaded.

        Raises:
            DataError: an image cannot be read, images of a batch differ in size, or a worker process died.
            ValueError: `start` lies outside the epoch.
        """
        if not 0 <= start <= len(self):
            raise ValueError(f"start must be from 0 to the {len(self)} batches of an epoch, got {start}")
        random = np.random.default_rng((self.seed, epoch))
        order = random.permutation(self.size) if self.shuffle else np.arange(self.size)
        parts = [order[i * self.batch_size : (i + 1) * self.batch_size] for i in range(start, len(self))]
        shown = self.views.epoch(epoch, self.size, None if self.outcomes is None else self.outcomes.count)
        if self.process[1] == 1:
            yield from self._load(parts, shown)
            return
        slices = [_slice(part, *self.process) for part in parts]
        wanted = [self._wanted(own, part) for own, part in zip(slices, parts, strict=True)]
        for batch, own, part, asked in zip(self._load(wanted, shown), slices, parts, wanted, strict=True):
            whole = len(batch.labels) == len(asked)  # else something could not be read, perhaps the neighbour
            neighbour = len(asked) > len(own) > 0 and (whole or int(batch.indices[0]) == asked[0])
            placeholder = batch.placeholder or not len(own)
            yield batch._replace(total=len(part), placeholder=placeholder, neighbour=neighbour)

    def _wanted(self, own: np.ndarray, part: np.ndarray) -> np.ndarray:
        """What this process loads of a batch: its slice, and a neighbour; one image for a placeholder."""
        if not len(own):
            return part[:1]
        if not self.neighbours or len(own) == len(part):
            return own
        before = part[int(np.flatnonzero(part == own[0])[0]) - 1]
        return np.concatenate([[before], own])

    @abstractmethod
    def _load(self, parts: list[np.ndarray], shown: EpochViews) -> Iterator[Batch]:
        """The batches of these indices."""


def _slice(part: np.ndarray, rank: int, world: int) -> np.ndarray:
    """The part of a batch that a rank works on: at least two images, as batch normalisation needs, or none."""
    used = max(1, min(world, len(part) // 2))
    return np.array_split(part, used)[rank] if rank < used else part[:0]


class ResidentBatches(Batches):
    """Batches of images that lie in memory, on the device: gathered and augmented a batch at a time, without workers.

    Args:
        images: uint8 (M, C, H, W), on the device the batches are wanted on.
        labels: (N,) int64, on the same device.
        rows: (N,) where each sample lies in `images`; None = in order.
        outcomes: the augmentation.
        settings: as for `Batches`.
    """

    def __init__(
        self, images: Tensor, labels: Tensor, rows: Tensor | None, outcomes: Outcomes, **settings: Any
    ) -> None:
        super().__init__(len(labels), outcomes=outcomes, **settings)
        self._images, self._labels, self._rows = images, labels, rows
        self._apply = outcomes.apply

    def _load(self, parts: list[np.ndarray], shown: EpochViews) -> Iterator[Batch]:
        assert shown.outcomes is not None
        if not parts:
            return
        # The whole epoch's order and draws go to the device at once: a transfer a batch would make the host wait.
        order, outcomes = self._on_device(np.concatenate(parts)), self._on_device(shown.outcomes)
        slots = None if shown.slots is None else self._on_device(shown.slots)
        for part, indices in zip(parts, torch.split(order, [len(part) for part in parts]), strict=True):
            rows = indices if self._rows is None else self._rows[indices]
            images = self._apply(self._images[rows], outcomes[indices])
            on_host = part, None if shown.slots is None else shown.slots[part]
            yield Batch(
                images, self._labels[indices], indices, None if slots is None else slots[indices], on_host=on_host
            )

    def _on_device(self, numbers: np.ndarray) -> Tensor:
        return torch.from_numpy(numbers).to(self._images.device)


def is_of_dead_loader(error: BaseException, *, reading: bool = False) -> bool:
    """Whether an error comes from a loader process that died: PyTorch's word of it may arrive anywhere.

    Args:
        reading: the error was raised while a batch was being read from a loader process.
    """
    if "Caught " in str(error):  # an error of a loader process that lives, handed on
        return False
    return "DataLoader worker" in str(error) or (reading and isinstance(error, OSError | EOFError))


def dead_loader(error: BaseException) -> DataError:
    """The same in one sentence."""
    return DataError(
        f"a loader process died, often for lack of (shared) memory; lower data.workers (0 loads in the main process), "
        f"and the same command goes on from the last checkpoint: {error}"
    )


class SeededBatches(Batches):
    """Batches read and augmented image by image, in this process or in workers: for data that memory does not hold.

    Of a split whose views are stored, those that the schedule shows are read as pixels; what is missing there is made.
    0 and 8 worker processes give the same batches. One epoch at a time where there are workers, as they serve one
    iterator.

    Args:
        split: where the images come from.
        transform: uint8 (C, H, W) → uint8 (C, H, W); all images of a batch must come out in one size. Not called where
            `outcomes` are given.
        workers: loader processes; 0 loads in this one.
        pin_memory: for faster copies to a GPU.
        on_unreadable: told of an image that cannot be read, which is then left out of its batch; None = an error.
        settings: as for `Batches`.
    """

    def __init__(
        self,
        split: ImageSplit,
        transform: Callable[[Tensor], Tensor],
        *,
        workers: int = 0,
        pin_memory: bool = False,
        on_unreadable: Callable[[str], None] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(len(split), **settings)
        self._workers = workers
        self._on_unreadable = on_unreadable
        self._last: Batch | None = None  # one image of the last batch, for placeholders
        self._sampler = _Handed()
        stored = split.stored if split.stored is not None and split.stored.serves(self.views) else None
        self._loader: DataLoader[Any] = DataLoader(
            Augmented(split, transform, self.outcomes, stored),
            batch_sampler=self._sampler,
            collate_fn=_collate,
            num_workers=workers,
            worker_init_fn=leave_signals,
            pin_memory=pin_memory,
            persistent_workers=workers > 0,
            # The loader draws a number per epoch, which must not come from the stream that drives dropout.
            generator=torch.Generator().manual_seed(self.seed),
        )

    def _load(self, parts: list[np.ndarray], shown: EpochViews) -> Iterator[Batch]:
        self._sampler.parts, self._sampler.shown = parts, shown
        loaded = iter(self._loader)
        while True:
            try:
                batch = next(loaded)
            except StopIteration:
                return
            except (RuntimeError, OSError, EOFError) as error:
                if self._workers and is_of_dead_loader(error, reading=True):
                    raise dead_loader(error) from None
                raise
            if isinstance(batch, DataError):
                # A copy: an error that its own traceback refers to would keep the worker processes alive.
                raise DataError(*batch.args)
            found = self._without_unreadable(*batch) if batch[1] else batch[0]
            assert isinstance(found.inputs, Tensor)
            self._last = found._replace(
                inputs=found.inputs[:1], labels=found.labels[:1], indices=found.indices[:1], on_host=None
            )
            if found.views is not None:
                self._last = self._last._replace(views=found.views[:1])
            yield found

    def _without_unreadable(self, batch: Batch | None, errors: list[DataError]) -> Batch:
        """What is left of a batch: the images that could be read, or a placeholder where that is too little."""
        if self._on_unreadable is None:
            raise DataError(f"{errors[0]}; {SKIP_HINT}")
        for error in errors:
            self._on_unreadable(str(error))
        if batch is None:
            if self._last is None:
                raise DataError(f"none of the first {len(errors)} images can be read, for example: {errors[0]}")
            return self._last._replace(placeholder=True)
        # Batch normalisation cannot learn from one image.
        return batch._replace(placeholder=self.shuffle and len(batch.labels) == 1)


class _Handed(Sampler[list[Key]]):
    """Hands out the batches it was given, even when another epoch is asked for while this one is being read."""

    def __init__(self) -> None:
        self.parts: list[np.ndarray] = []
        self.shown: EpochViews | None = None

    def __len__(self) -> int:
        return len(self.parts)

    def __iter__(self) -> Iterator[list[Key]]:
        parts, shown = self.parts, self.shown
        assert shown is not None
        for part in parts:
            yield [key_of(int(index), shown) for index in part]


def leave_signals(worker: int) -> None:
    """Ctrl-C reaches every process of a terminal: workers leave it to the main one, and end when that ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a fork inherits the main process' handlers


def _collate(samples: list[tuple[Tensor, int, Key] | DataError]) -> tuple[Batch | None, list[DataError]] | DataError:
    """The batch of what could be read, and the errors; an error where what was read is no batch."""
    read = [sample for sample in samples if not isinstance(sample, DataError)]
    errors = [sample for sample in samples if isinstance(sample, DataError)]
    if not read:
        return None, errors
    images, labels, keys = zip(*read, strict=True)
    shapes = {tuple(image.shape) for image in images}
    if len(shapes) > 1:
        return DataError(
            f"images of one batch differ in size: {', '.join(map(str, sorted(shapes)[:3]))}; "
            "set data.image_size and a transform that brings them to it (data.eval_transform=resize_center_crop, "
            "data.train_augmentation=imagenet)"
        )
    indices = np.array([key.sample for key in keys])
    slots = None if keys[0].slot is None else np.array([key.slot for key in keys])
    views = None if slots is None else torch.tensor(slots)
    batch = Batch(torch.stack(images), torch.tensor(labels), torch.tensor(indices), views, on_host=(indices, slots))
    return batch, errors
