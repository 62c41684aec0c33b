"""What a translation model sees of a batch."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class TokenInputs(NamedTuple):
    """Padded sentence pairs under teacher forcing. A sample is a target token; there are n of them in a batch.

    Attributes:
        source: (B, S) int64, source tokens, padded with the vocabulary's padding.
        source_mask: (B, S) bool, True on real tokens.
        decoder_inputs: (B, L) int64, the target shifted to the right: it begins with the start token.
        positions: (B, L) bool, True where the next token is one of the batch's samples, in row-major order.
    """

    source: Tensor
    source_mask: Tensor
    decoder_inputs: Tensor
    positions: Tensor

    def to(self, device: torch.device, non_blocking: bool = False) -> TokenInputs:
        """The same on a device."""
        return TokenInputs(*(part.to(device, non_blocking=non_blocking) for part in self))
