"""MixUp and CutMix: whole batches mixed once, before any teacher or student sees them."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from tosmooth.data.batches import Batch

if TYPE_CHECKING:
    from tosmooth.config.training import MixingConfig


class Mixing:
    """torchvision's MixUp (Zhang et al., 2018) and CutMix (Yun et al., 2019) as a function of (seed, epoch, position).

    So all models of a group see the same mixed images, whoever is in the group, and a training that goes on in the
    middle of an epoch meets the batches that it would have met.

    Args:
        config: which of both, and how often; not off.
        classes: K.
        seed: of the batches.
    """

    def __init__(self, config: MixingConfig, classes: int, seed: int) -> None:
        self._config, self._classes, self._seed = config, classes, seed

    def of(self, batch: Batch, epoch: int, position: int) -> Batch:
        """The batch as it is shown: images mixed in pairs of neighbours (the last with the first), and their labels.

        Where several processes work on a batch, each mixes its own part, by the same draw and with the neighbour of its
        first image, which is dropped: together these are the batch of one process.

        Args:
            batch: images (N, C, H, W), uint8 in 0..255 or float in [0, 1], with labels (N,).
            epoch: from 0.
            position: of the batch in the epoch, from 0.

        Returns:
            Mixed: images float32 in [0, 1], and labels (N, K), float32, whose rows sum to 1. Or, where this batch is
            not to be mixed or counts for nothing, as it was.
        """
        if not batch.counted:
            return batch
        mixed = self._mixed(batch, epoch, position)
        return _without_neighbour(mixed) if batch.neighbour else mixed

    def _mixed(self, batch: Batch, epoch: int, position: int) -> Batch:
        assert isinstance(batch.inputs, Tensor)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self.entropy(epoch, position))
            if self._config.probability < 1 and torch.rand(()) >= self._config.probability:
                return batch
            images = batch.inputs if batch.inputs.is_floating_point() else batch.inputs.float() / 255
            images, labels = self._transform(images, batch.labels)
        return batch._replace(inputs=images, labels=labels)

    def entropy(self, epoch: int, position: int) -> int:
        """What PyTorch's generator is seeded with for a batch; torchvision draws from it on the CPU."""
        # The spawn key keeps this apart from other draws of the same seed and epoch.
        sequence = np.random.SeedSequence((self._seed, epoch, position), spawn_key=(2,))
        return int(sequence.generate_state(1)[0])

    @cached_property
    def _transform(self) -> nn.Module:
        from torchvision.transforms import v2  # takes a second to import

        kinds = {v2.MixUp: self._config.mixup, v2.CutMix: self._config.cutmix}
        chosen = [kind(alpha=alpha, num_classes=self._classes) for kind, alpha in kinds.items() if alpha]
        found: nn.Module = chosen[0] if len(chosen) == 1 else v2.RandomChoice(chosen)
        return found


def _without_neighbour(batch: Batch) -> Batch:
    """The images of this process alone; a placeholder where only one is left, of which nothing can be learnt."""
    assert isinstance(batch.inputs, Tensor)
    images, labels, indices = (part[1:] for part in (batch.inputs, batch.labels, batch.indices))
    views = None if batch.views is None else batch.views[1:]
    return Batch(images, labels, indices, views, batch.total, placeholder=len(labels) == 1)
