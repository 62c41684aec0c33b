"""Batches as a pure function of (seed, epoch, position)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from tosmooth.data.base import ImageSplit
from tosmooth.errors import DataError


class Batch(NamedTuple):
    """Images uint8 (N, C, H, W), labels (N,) int64, indices (N,) int64 into the split."""

    images: Tensor
    labels: Tensor
    indices: Tensor


class SeededBatches:
    """Batches of a split whose order and augmentation depend on nothing but (seed, epoch, position).

    The order is a seeded permutation per epoch; the augmentation of a sample draws from a stream keyed by (seed, epoch,
    index). So 0 and 8 worker processes give the same batches, and going on in the middle of an epoch needs no replay.

    One epoch at a time where there are workers: they serve one iterator.

    Args:
        split: where the images come from.
        transform: uint8 (C, H, W) → uint8 (C, H, W); all images of a batch must come out in one size.
        batch_size: images a batch.
        seed: of order and augmentation.
        shuffle: permute the split each epoch; also drops a last batch of one image, on which batch normalisation fails.
        drop_last: leave out the last, smaller batch, unless it is the only one.
        workers: loader processes; 0 loads in this one.
        pin_memory: for faster copies to a GPU.

    Raises:
        ValueError: batch_size below 1.
    """

    def __init__(
        self,
        split: ImageSplit,
        transform: Callable[[Tensor], Tensor],
        *,
        batch_size: int,
        seed: int = 0,
        shuffle: bool = False,
        drop_last: bool = False,
        workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self.split = split
        self.seed = seed
        self._workers = workers
        self._sampler = _EpochSampler(len(split), batch_size, seed, shuffle, drop_last)
        self._loader: DataLoader[Any] = DataLoader(
            _Augmented(split, transform, seed),
            batch_sampler=self._sampler,
            collate_fn=_collate,
            num_workers=workers,
            pin_memory=pin_memory,
            persistent_workers=workers > 0,
            # The loader draws a number per epoch, which must not come from the stream that drives dropout.
            generator=torch.Generator().manual_seed(seed),
        )

    def __len__(self) -> int:
        """Batches an epoch."""
        return self._sampler.batches

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from position `start` on; the ones before it are not loaded.

        Raises:
            DataError: an image cannot be read, images of a batch differ in size, or a worker process died.
            ValueError: `start` lies outside the epoch.
        """
        if not 0 <= start <= len(self):
            raise ValueError(f"start must be from 0 to the {len(self)} batches of an epoch, got {start}")
        self._sampler.epoch, self._sampler.start = epoch, start
        loaded = iter(self._loader)
        while True:
            try:
                batch = next(loaded)
            except StopIteration:
                return
            except RuntimeError as error:
                if self._workers == 0 or "DataLoader worker" not in str(error):
                    raise
                raise DataError(
                    f"a loader process died, often for lack of (shared) memory; lower data.workers "
                    f"(now {self._workers}; 0 loads in the main process): {error}"
                ) from None
            if isinstance(batch, DataError):
                # A copy: an error that its own traceback refers to would keep the worker processes alive.
                raise DataError(*batch.args)
            yield batch


class _EpochSampler(Sampler[list[tuple[int, int]]]):
    """Lists of (epoch, index): the epoch travels with the index, so worker processes need no state."""

    def __init__(self, size: int, batch_size: int, seed: int, shuffle: bool, drop_last: bool) -> None:
        self.size, self.batch_size, self.seed, self.shuffle = size, batch_size, seed, shuffle
        full, rest = divmod(size, batch_size)
        keep_rest = rest > 0 and (full == 0 or not (drop_last or (shuffle and rest == 1)))
        self.batches = full + keep_rest
        self.epoch = self.start = 0

    def __len__(self) -> int:
        return self.batches - self.start

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch = self.epoch  # read once: the next epoch may be asked for while this one is being read
        order = np.random.default_rng((self.seed, epoch)).permutation(self.size) if self.shuffle else range(self.size)
        for number in range(self.start, self.batches):
            part = order[number * self.batch_size : (number + 1) * self.batch_size]
            yield [(epoch, int(index)) for index in part]


class _Augmented(Dataset[tuple[Tensor, int, int] | DataError]):
    """Transformed images. Errors are handed on as values: raised in a worker, they arrive wrapped in its traceback."""

    def __init__(self, split: ImageSplit, transform: Callable[[Tensor], Tensor], seed: int) -> None:
        self.split, self.transform, self.seed = split, transform, seed
        self.labels = split.labels.tolist()

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, int, int] | DataError:
        epoch, index = key
        try:
            image = self.split[index]
        except DataError as error:
            return error
        with torch.random.fork_rng(devices=[]):
            # Not torch.manual_seed, which would reseed accelerators too.
            torch.default_generator.manual_seed(
                int(np.random.SeedSequence((self.seed, epoch, index)).generate_state(1)[0])
            )
            image = self.transform(image)
        return image, self.labels[index], index


def _collate(samples: list[tuple[Tensor, int, int] | DataError]) -> Batch | DataError:
    read = [sample for sample in samples if not isinstance(sample, DataError)]
    if len(read) < len(samples):
        return next(sample for sample in samples if isinstance(sample, DataError))
    images, labels, indices = zip(*read, strict=True)
    shapes = {tuple(image.shape) for image in images}
    if len(shapes) > 1:
        return DataError(
            f"images of one batch differ in size: {', '.join(map(str, sorted(shapes)[:3]))}; "
            "set data.image_size and a transform that brings them to it (data.eval_transform=resize_center_crop, "
            "data.train_augmentation=imagenet)"
        )
    return Batch(torch.stack(images), torch.tensor(labels), torch.tensor(indices))
