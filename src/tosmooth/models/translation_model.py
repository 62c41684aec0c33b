"""A translation model whose samples are target tokens: encoder and decoder run in full, the last layer where asked."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from tosmooth.errors import ModelError
from tosmooth.models.study_model import HiddenStateModel
from tosmooth.models.translation_inputs import TokenInputs
from tosmooth.models.translation_masks import attention_masks

_BIAS = "final_logits_bias"  # the library's name of a constant added to the logits: a buffer (1, K) of its own
_HEAD_BIAS = "lm_head.bias"


class SpecialTokens(Protocol):
    """What a model must know of a vocabulary."""

    @property
    def pad(self) -> int:
        """Id that fills up shorter sentences."""

    @property
    def start(self) -> int:
        """Id that the decoder sees first."""

    @property
    def eos(self) -> int:
        """Id that ends every sentence."""

    @property
    def unk(self) -> int:
        """Id of what the vocabulary cannot spell."""

    @property
    def size(self) -> int:
        """K, how many ids there are."""


class TranslationModel(HiddenStateModel):
    """An encoder-decoder of the transformers library that answers for single target tokens.

    Padding is masked in the source; the decoder is causal, so that what follows a token cannot change it.

    Args:
        backbone: a ``…ForConditionalGeneration`` or ``MarianMTModel`` with one linear layer over the vocabulary. A
            constant that the library adds to its logits becomes that layer's bias, so that W·features + b are the
            logits; in the state dict it keeps the library's name.
        name: the name it was built by, for messages.

    Raises:
        ModelError: the backbone's logits are not those of its last linear layer.
    """

    def __init__(self, backbone: nn.Module, name: str) -> None:
        head = backbone.get_output_embeddings()  # type: ignore[operator]
        if not isinstance(head, nn.Linear):
            raise ModelError(f"{name}: has no linear layer over the vocabulary, found {type(head).__name__}")
        super().__init__(backbone, name, head.out_features)
        self._fold_bias()

    @property
    def last_layer(self) -> nn.Linear:
        """The layer over the vocabulary: weight (K, D), often the embeddings themselves, and a bias (K,) or none."""
        return self.backbone.get_output_embeddings()  # type: ignore[no-any-return, operator]

    @property
    def max_length(self) -> int | None:
        """Tokens that fit on either side; None where the positions have no limit."""
        return getattr(self.backbone.config, "max_position_embeddings", None)

    def prepare(self, inputs: TokenInputs) -> TokenInputs:
        """Token ids need no preparation."""
        return inputs

    def hidden(self, prepared: TokenInputs) -> Tensor:
        """Penultimate features (n, D) of the n target tokens that `positions` selects."""
        source, source_mask, decoder_inputs, positions = prepared
        masks = attention_masks(self.backbone, source_mask, decoder_inputs.shape[1])
        encoded = self.backbone.get_encoder()(input_ids=source, attention_mask=masks.encoder).last_hidden_state  # type: ignore[operator]
        decoder: Any = self.backbone.get_decoder()  # type: ignore[operator]
        decoded: Tensor = decoder(
            input_ids=decoder_inputs,
            attention_mask=masks.decoder,
            encoder_hidden_states=encoded,
            encoder_attention_mask=masks.cross,
            use_cache=False,
        ).last_hidden_state  # (B, L, D)
        return decoded.flatten(0, 1).index_select(0, positions)

    def classify(self, prepared: TokenInputs) -> Tensor:
        """Logits (n, K) of the n target tokens that `positions` selects."""
        return self.last_layer(self.hidden(prepared))  # type: ignore[no-any-return]

    def forward(self, inputs: TokenInputs) -> Tensor:
        """Logits (n, K) of the n target tokens that `positions` selects."""
        return self.classify(self.prepare(inputs))

    def _fold_bias(self) -> None:
        bias = getattr(self.backbone, _BIAS, None)
        if not isinstance(bias, Tensor):
            return
        head = self.last_layer
        if head is not getattr(self.backbone, "lm_head", None) or head.bias is not None:
            raise ModelError(f"{self.name}: adds {_BIAS!r} to logits of a layer that is not a plain 'lm_head'")
        del head.bias
        head.register_buffer("bias", bias.detach().reshape(-1).clone())  # a constant, so it is not trained
        # The library goes on adding its own, in its forward and in its search: zero, and in no file.
        self.backbone.register_buffer(_BIAS, torch.zeros_like(bias), persistent=False)
        self.backbone.register_state_dict_post_hook(_with_library_name)  # type: ignore[no-untyped-call]
        self.backbone.register_load_state_dict_pre_hook(_with_own_name)  # type: ignore[no-untyped-call]


def _with_library_name(
    backbone: nn.Module, state: MutableMapping[str, Tensor], prefix: str, metadata: dict[str, Any]
) -> None:
    state[prefix + _BIAS] = state.pop(prefix + _HEAD_BIAS).unsqueeze(0)


def _with_own_name(backbone: nn.Module, state: MutableMapping[str, Tensor], prefix: str, *_: Any) -> None:
    if prefix + _BIAS in state:
        state[prefix + _HEAD_BIAS] = state.pop(prefix + _BIAS).reshape(-1)
