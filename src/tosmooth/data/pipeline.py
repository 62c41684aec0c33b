"""From a split to batches, by the fastest way its data allow."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tosmooth.config.schema import DataConfig
from tosmooth.data.augmentation import eval_transform, full_train_transform
from tosmooth.data.augmented import AllViews
from tosmooth.data.base import ImageSplit
from tosmooth.data.batches import Batches, ResidentBatches, SeededBatches
from tosmooth.data.views import EachView, Outcomes, ViewSchedule, outcomes_of
from tosmooth.memory import free_memory

# Of an accelerator's free memory; the rest is for models and activations.
RESIDENT_SHARE = 0.25


class ImagePipeline:
    """Batches for training and evaluation, as the `data` section of a configuration describes them.

    Images that lie in memory, under an augmentation whose outcomes can be numbered, stay on the device and are gathered
    and augmented a batch at a time. All others are read and transformed one by one, in `data.workers` processes. Both
    give the same batches.

    Args:
        config: transforms, image size, workers, and whether images may stay in memory.
        device: where the models are.
        process: (rank, world) of this process; each batch is shared out over all.

    Attributes:
        unreadable: what was left out, under `data.on_error: skip`: a line for each image.
    """

    def __init__(self, config: DataConfig, device: torch.device, process: tuple[int, int] = (0, 1)) -> None:
        self._config, self._device, self._process = config, device, process
        self.unreadable: dict[str, None] = {}  # as an ordered set: an image is met again every epoch
        self._resident: dict[int, Tensor] = {}  # by the identity of the images in host memory, which it keeps alive
        self._hosts: list[Tensor] = []

    def training(self, split: ImageSplit, *, batch_size: int, seed: int, views: ViewSchedule | None = None) -> Batches:
        """The split, shuffled and augmented by `seed`; `views` says which view of a sample an epoch shows."""
        transform, outcomes = full_train_transform(self._config), self._training_outcomes(split)
        return self._batches(split, outcomes, transform, batch_size=batch_size, seed=seed, shuffle=True, views=views)

    def in_order(self, split: ImageSplit, *, batch_size: int, views: ViewSchedule) -> Batches:
        """The split in order, with the training augmentation and given views: to store what a teacher says to them.

        Batches are whole, not shared out: processes divide such work by shards.
        """
        transform, outcomes = full_train_transform(self._config), self._training_outcomes(split)
        return self._batches(split, outcomes, transform, batch_size=batch_size, views=views, process=(0, 1))

    def all_views(self, split: ImageSplit, views: EachView) -> AllViews:
        """The same views image by image, to be stored as pixels."""
        return AllViews(split, full_train_transform(self._config), self._training_outcomes(split), views)

    def evaluation(self, split: ImageSplit, *, batch_size: int) -> Batches:
        """The split in order, with the evaluation transform."""
        name, size = self._config.eval_transform, self._config.image_size
        outcomes = outcomes_of(name, size, _shape(split))
        return self._batches(split, outcomes, eval_transform(name, size), batch_size=batch_size)

    def training_outcomes(self, split: ImageSplit) -> int | None:
        """In how many ways the training augmentation can turn out for an image; None where they cannot be numbered."""
        found = self._training_outcomes(split)
        return None if found is None else found.count

    def _training_outcomes(self, split: ImageSplit) -> Outcomes | None:
        if self._config.augments_further:
            return None
        return outcomes_of(self._config.train_augmentation, self._config.image_size, _shape(split))

    def _batches(self, split: ImageSplit, outcomes: Outcomes | None, transform: nn.Module, **settings: Any) -> Batches:
        settings = {"process": self._process, **settings}
        held = split.in_memory() if self._config.in_memory != "off" else None
        if outcomes is not None and held is not None and self._fits(held[0]):
            images, rows = held
            rows = None if rows is None else rows.to(self._device)
            return ResidentBatches(self._on_device(images), split.labels.to(self._device), rows, outcomes, **settings)
        return SeededBatches(
            split,
            transform,
            outcomes=outcomes,
            workers=self._config.workers,
            pin_memory=self._device.type == "cuda",
            on_unreadable=self._leave_out if self._config.on_error == "skip" else None,
            **settings,
        )

    def _leave_out(self, reason: str) -> None:
        self.unreadable[reason] = None

    def _fits(self, images: Tensor) -> bool:
        if self._device.type == "cpu" or id(images) in self._resident:
            return True  # they are there already
        return images.nbytes <= RESIDENT_SHARE * free_memory(self._device)

    def _on_device(self, images: Tensor) -> Tensor:
        if id(images) not in self._resident:
            self._hosts.append(images)
            self._resident[id(images)] = images.to(self._device)
        return self._resident[id(images)]


def _shape(split: ImageSplit) -> tuple[int, int] | None:
    """Height and width of all images, where they are known to have one."""
    held = split.in_memory()
    if held is None:
        return None
    height, width = held[0].shape[2:]
    return height, width
