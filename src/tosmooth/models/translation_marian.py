"""Transformers for translation, built from scratch: post-norm, relu, sinusoidal positions, scaled shared embeddings.

That is the Transformer of Vaswani et al. (2017) as fairseq trains it on IWSLT, and the Marian architecture of the
transformers library.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from torch import nn

from tosmooth.errors import ModelError, did_you_mean
from tosmooth.models.translation_model import SpecialTokens

_COMMON = {
    "encoder_ffn_dim": 1024,
    "decoder_ffn_dim": 1024,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "activation_function": "relu",
    "scale_embedding": True,
    "share_encoder_decoder_embeddings": True,
    "tie_word_embeddings": True,
    "dropout": 0.3,  # fairseq's recipe for IWSLT; attention and activations have none there
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
}
ARCHITECTURES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "transformer_iwslt_de_en": {"d_model": 512, "encoder_layers": 6, "decoder_layers": 6, **_COMMON},
        "transformer_small": {"d_model": 256, "encoder_layers": 2, "decoder_layers": 2, **_COMMON},
    }
)
_FIELDS = (
    "d_model",
    "encoder_layers",
    "decoder_layers",
    *_COMMON,
    "encoder_layerdrop",
    "decoder_layerdrop",
    "init_std",
)


def check_fields(name: str, kwargs: Mapping[str, Any]) -> None:
    """Raise a ModelError for kwargs that are no fields of the architecture; nothing is imported."""
    for field in kwargs:
        if field not in _FIELDS:
            raise ModelError(f"{name}: unknown kwargs {field!r}; {did_you_mean(field, _FIELDS)}")


def build(name: str, vocabulary: SpecialTokens, max_length: int, kwargs: Mapping[str, Any]) -> nn.Module:
    """A MarianMTModel with random weights for this vocabulary.

    Args:
        name: one of `ARCHITECTURES`.
        vocabulary: joint, of source and target.
        max_length: tokens that must fit on either side.
        kwargs: fields of the configuration that replace the architecture's.

    Raises:
        ModelError: unknown kwargs.
    """
    from transformers import MarianConfig, MarianMTModel

    check_fields(name, kwargs)
    fields = {**ARCHITECTURES[name], **kwargs}
    # With this spread scaled embeddings have variance 1 and square layers are Xavier's; the library's own default
    # of 0.02 leaves embeddings so small that the positions drown them.
    fields.setdefault("init_std", fields["d_model"] ** -0.5)
    config = MarianConfig(
        vocab_size=vocabulary.size,
        decoder_vocab_size=vocabulary.size,
        pad_token_id=vocabulary.pad,
        bos_token_id=vocabulary.start,
        eos_token_id=vocabulary.eos,
        decoder_start_token_id=vocabulary.start,
        forced_eos_token_id=None,  # by default token 0 is forced at the end of a search, whatever it is here
        max_position_embeddings=max_length,
        **fields,
    )
    return MarianMTModel(config)  # type: ignore[no-any-return]
