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
        positions: (n,) int64 into the B · L places of `decoder_inputs`, row by row: those whose next token is one of
            the batch's samples. Not a mask: one would have to wait for a GPU to know how many it selects.
    """

    source: Tensor
    source_mask: Tensor
    decoder_inputs: Tensor
    positions: Tensor

    def to(self, device: torch.device, non_blocking: bool = False) -> TokenInputs:
        """The same on a device."""
        return TokenInputs(*(part.to(device, non_blocking=non_blocking) for part in self))
