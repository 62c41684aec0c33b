"""From a split of sentence pairs to batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from tosmooth.data.translation.batches import TokenBatches
from tosmooth.data.translation.split import TokenSplit
from tosmooth.data.views import ViewSchedule

if TYPE_CHECKING:
    from tosmooth.config.schema import DataConfig


class TranslationPipeline:
    """Batches for training and evaluation; the counterpart of `ImagePipeline`.

    Args:
        config: the data section; what it says of images does not matter here.
        device: where the models are. Batches are made on the host: they are small numbers, and cheap to send.
        process: (rank, world) of this process; each batch is shared out over all.

    Attributes:
        unreadable: always empty: all text is read, and checked, before any work.
    """

    def __init__(self, config: DataConfig, device: torch.device, process: tuple[int, int] = (0, 1)) -> None:
        self._process = process
        self.unreadable: dict[str, None] = {}

    def training(
        self, split: TokenSplit, *, batch_size: int, seed: int, views: ViewSchedule | None = None
    ) -> TokenBatches:
        """The split in batches of at most `batch_size` padded tokens a side, shuffled by `seed`."""
        return TokenBatches(split, batch_size=batch_size, seed=seed, shuffle=True, views=views, process=self._process)

    def in_order(self, split: TokenSplit, *, batch_size: int, views: ViewSchedule) -> TokenBatches:
        """The split in order, `batch_size` target tokens a batch: to store what a teacher says to them.

        Batches are whole, not shared out: processes divide such work by shards.
        """
        return TokenBatches(split, batch_size=batch_size, views=views)

    def evaluation(self, split: TokenSplit, *, batch_size: int) -> TokenBatches:
        """The split in order, `batch_size` target tokens a batch."""
        return TokenBatches(split, batch_size=batch_size, process=self._process)

    def training_outcomes(self, split: TokenSplit) -> int:
        """Sentences are not augmented: there is one view of each."""
        return 1
