"""Encoder-decoders of Hugging Face, by hub id or local folder: ``hf:Helsinki-NLP/opus-mt-en-de``, ``hf:./marian``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tosmooth.errors import ModelError, did_you_mean
from tosmooth.models.translation_model import SpecialTokens


def build(
    name: str, vocabulary: SpecialTokens, max_length: int, pretrained: bool, kwargs: Mapping[str, Any]
) -> nn.Module:
    """The encoder-decoder in float32: with the weights it comes with, or its architecture with random weights.

    Args:
        name: hub id or folder.
        vocabulary: joint. Weights that were trained with another are refused; an architecture is given this one.
        max_length: tokens that must fit on either side.
        pretrained: load the weights (may download).
        kwargs: fields of its config.json to replace.

    Raises:
        ModelError: no encoder-decoder, unknown kwargs, another vocabulary, too few positions, or weights that would
            leave a part of the model at random.
    """
    from transformers import AutoConfig, AutoModelForSeq2SeqLM

    folder = Path(name).expanduser()
    source = str(folder) if folder.is_dir() else name
    config = AutoConfig.from_pretrained(source, trust_remote_code=False)
    config.dtype = torch.float32  # a folder in half precision would make even the tables of positions in half
    known = config.to_dict()
    for field, value in kwargs.items():
        if field not in known:
            raise ModelError(f"hf:{name}: unknown kwargs {field!r}; {did_you_mean(field, known)}")
        setattr(config, field, value)
    if not config.is_encoder_decoder:
        raise ModelError(
            f"hf:{name}: a model of type {config.model_type!r} is no encoder-decoder, so it translates not"
        )
    if pretrained:
        _check_vocabulary(name, config, vocabulary)
        _check_positions(name, config, max_length)
        return _pretrained(name, source, config)
    _use_vocabulary(config, vocabulary)
    if hasattr(config, "max_position_embeddings"):
        config.max_position_embeddings = max_length
    return AutoModelForSeq2SeqLM.from_config(config, trust_remote_code=False)  # type: ignore[no-any-return]


def check_published(name: str, vocabulary: SpecialTokens, max_length: int) -> None:
    """Refuse published weights that another vocabulary goes with, by the model's config.json alone.

    Args:
        name: hub id or folder.
        vocabulary: of the data.
        max_length: tokens that must fit on either side.

    Raises:
        ModelError: the vocabularies differ, there are too few positions, or the config.json cannot be read.
    """
    from transformers import AutoConfig

    folder = Path(name).expanduser()
    try:
        config = AutoConfig.from_pretrained(str(folder) if folder.is_dir() else name, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise ModelError(f"hf:{name}: its config.json cannot be read: {' '.join(str(error).split())[:200]}") from None
    _check_vocabulary(name, config, vocabulary)
    _check_positions(name, config, max_length)


def _check_vocabulary(name: str, config: Any, vocabulary: SpecialTokens) -> None:
    wanted = {
        "vocab_size": vocabulary.size,
        "pad_token_id": vocabulary.pad,
        "decoder_start_token_id": vocabulary.start,
        "eos_token_id": vocabulary.eos,
    }
    if getattr(config, "decoder_vocab_size", None) is not None:
        wanted["decoder_vocab_size"] = vocabulary.size
    other = [
        f"{field} is {there} in the model and {here} in the data's vocabulary"
        for field, here in wanted.items()
        if (there := getattr(config, field, None)) != here and there != [here]
    ]
    if other:
        raise ModelError(
            f"hf:{name}: was trained with another vocabulary: {'; '.join(other)}. Set data.text.tokenizer to the "
            f"model's own, or pretrained: false to train its architecture from random weights"
        )


def _check_positions(name: str, config: Any, max_length: int) -> None:
    there = getattr(config, "max_position_embeddings", None)
    if there is not None and there < max_length:
        raise ModelError(f"hf:{name}: has {there} positions, sentences may have {max_length} tokens (max_length)")


def _use_vocabulary(config: Any, vocabulary: SpecialTokens) -> None:
    config.vocab_size = vocabulary.size
    if hasattr(config, "decoder_vocab_size"):
        config.decoder_vocab_size = vocabulary.size
    config.pad_token_id, config.eos_token_id = vocabulary.pad, vocabulary.eos
    config.bos_token_id = config.decoder_start_token_id = vocabulary.start
    config.forced_bos_token_id = config.forced_eos_token_id = None


def _pretrained(name: str, source: str, config: Any) -> nn.Module:
    from transformers import AutoModelForSeq2SeqLM

    backbone, report = AutoModelForSeq2SeqLM.from_pretrained(
        source, config=config, dtype=torch.float32, output_loading_info=True, trust_remote_code=False
    )
    if fresh := sorted({*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])}):
        raise ModelError(
            f"hf:{name}: these weights are not of this model: {len(fresh)} tensors would start from random values, "
            f"such as {', '.join(fresh[:5])}"
        )
    return backbone  # type: ignore[no-any-return]
