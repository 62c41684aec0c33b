"""What tokens may look at each other in an encoder-decoder, without a look into the masks.

Given (B, S) masks, transformers asks whether anything is padded at all, to leave out masks that mask nothing: a GPU
would have to finish all its work before each step could go on. Ready masks of four dimensions it takes as they are.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

# Families whose modules hand ready masks on unchanged, so that the answers are the same bits; a test goes through them.
FAMILIES = ("bart", "m2m_100", "marian", "mbart", "pegasus")


class AttentionMasks(NamedTuple):
    """Masks as encoder and decoder take them, True or 1 where a token may look.

    Attributes:
        encoder: (B, 1, S, S), or (B, S) for other families.
        decoder: (B, 1, L, L), causal; None: the library makes its own.
        cross: (B, 1, L, S), from target to source, or (B, S).
    """

    encoder: Tensor
    decoder: Tensor | None
    cross: Tensor


def attention_masks(backbone: nn.Module, source_mask: Tensor, length: int) -> AttentionMasks:
    """The masks of a batch, on its device.

    Args:
        backbone: the library's model.
        source_mask: (B, S) bool, True on real tokens.
        length: L, of the target.
    """
    if not takes_ready_masks(backbone):
        seen = source_mask.long()  # what the tokenizers of the library give; some models compute with it
        return AttentionMasks(seen, None, seen)
    rows, width = source_mask.shape
    seen = source_mask[:, None, None, :]
    past = torch.ones(length, length, dtype=torch.bool, device=source_mask.device).tril()
    return AttentionMasks(
        seen.expand(rows, 1, width, width), past.expand(rows, 1, length, length), seen.expand(rows, 1, length, width)
    )


def takes_ready_masks(backbone: nn.Module) -> bool:
    """Whether a model is of such a family, in a version of the library that takes ready masks, and wants booleans."""
    config: Any = backbone.config
    ready = hasattr(sys.modules.get(type(backbone).__module__), "create_bidirectional_mask")
    return ready and config.model_type in FAMILIES and getattr(config, "_attn_implementation", None) == "sdpa"
