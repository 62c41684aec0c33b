"""Translation models by name: ``transformer_iwslt_de_en``, ``transformer_small``, ``hf:…``.

The transformers library is an extra: ``pip install "tosmooth[translation]"``.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from tosmooth.errors import ModelError, did_you_mean
from tosmooth.models import hf_models, translation_hf, translation_marian
from tosmooth.models.translation_inputs import TokenInputs
from tosmooth.models.translation_model import SpecialTokens, TranslationModel
from tosmooth.models.weights import check_published, load_weights

__all__ = ["SpecialTokens", "TranslationModel", "build_translation_model", "validate_translation_model_name"]

_HF = "hf:"
_DATAS = dict.fromkeys(
    ("vocab_size", "decoder_vocab_size", "pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"),
    "the vocabulary sets it",
)
_OURS = {
    **_DATAS,
    "forced_bos_token_id": "the vocabulary sets it",
    "forced_eos_token_id": "a sentence ends where the model says so",
    "max_position_embeddings": "data.text.max_length sets it",
    "is_encoder_decoder": "only encoder-decoders translate here",
    "trust_remote_code": "code from a model's repository is never run",
}


def validate_translation_model_name(name: str) -> None:
    """Check a model's name without building it, asking the network or importing transformers.

    Raises:
        ModelError: unknown, with the nearest known name; no such folder; or transformers is not installed.
    """
    if not name.startswith(_HF) and name not in translation_marian.ARCHITECTURES:
        known = [*translation_marian.ARCHITECTURES, "hf:…"]
        raise ModelError(f"unknown translation model {name!r}; {did_you_mean(name, known)}")
    if importlib.util.find_spec("transformers") is None:
        raise ModelError(f'{name!r} needs the transformers library: pip install "tosmooth[translation]"')
    if name.startswith(_HF):
        hf_models.validate(name.removeprefix(_HF))


def build_translation_model(
    name: str,
    vocabulary: SpecialTokens,
    *,
    max_length: int,
    pretrained: bool = False,
    checkpoint: Path | None = None,
    ema: bool = False,
    kwargs: Mapping[str, Any] | None = None,
    seed: int | None = None,
) -> TranslationModel:
    """Build a translation model, on the CPU and in train mode.

    Args:
        name: ``transformer_iwslt_de_en`` (width 512, 6 + 6 layers), ``transformer_small`` (width 256, 2 + 2 layers), or
            ``hf:…`` (hub id or folder of an encoder-decoder).
        vocabulary: joint, of source and target; its size is the model's K.
        max_length: tokens, special ones included, that must fit on either side.
        pretrained: start from the weights that ``hf:…`` comes with (may download); they must be of this vocabulary.
        checkpoint: a safetensors or PyTorch file to start from; see `load_weights`.
        ema: take the averaged weights of a checkpoint that has plain ones, too.
        kwargs: fields of the model's configuration: ``d_model``, ``encoder_layers``, ``dropout``, …
        seed: of the initial weights: the same seed gives the same weights whatever was built before, and the caller's
            random state is left alone. None draws from the caller's.

    Raises:
        ModelError: unknown name, arguments the model does not take, another vocabulary, too few positions, a checkpoint
            that does not fit.
    """
    validate_translation_model_name(name)
    if max_length < 1:
        raise ModelError(f"{name}: max_length is {max_length}, must be at least 1 token")
    options = dict(kwargs or {})
    for field in options:
        if field in _OURS:
            raise ModelError(f"{name}: kwargs must not hold {field!r}; {_OURS[field]}")
    with nullcontext() if seed is None else torch.random.fork_rng(devices=[]):
        if seed is not None:
            # Not torch.manual_seed: that reseeds the accelerators too, which fork_rng would not put back.
            torch.default_generator.manual_seed(seed)
        try:
            if name.startswith(_HF):
                backbone = translation_hf.build(
                    name.removeprefix(_HF), vocabulary, max_length, pretrained=pretrained, kwargs=options
                )
            elif pretrained:
                raise ModelError(f"{name}: there are no pretrained weights; use checkpoint, or a model under hf:…")
            else:
                backbone = translation_marian.build(name, vocabulary, max_length, options)
        except ModelError:
            raise
        except Exception as error:  # a library's constructor may raise anything
            raise ModelError(f"{name}: could not be built: {type(error).__name__}: {error}") from error
        if pretrained:
            check_published(backbone, name)
        model = TranslationModel(backbone, name).train()
        if model.num_classes != vocabulary.size:
            raise ModelError(f"{name}: has {model.num_classes} outputs, the vocabulary has {vocabulary.size} tokens")
        if checkpoint is not None:
            load_weights(model, checkpoint, ema=ema)
        _try_on_one_pair(model, vocabulary)
    return model


def _try_on_one_pair(model: TranslationModel, vocabulary: SpecialTokens) -> None:
    """Find out now that an architecture cannot be split before its last layer, not by wrong features in a study."""
    source, begin = torch.tensor([[vocabulary.eos]]), torch.tensor([[vocabulary.start]])
    everything = torch.ones(1, 1, dtype=torch.bool)
    model.eval()
    try:
        with torch.no_grad():
            logits = model(TokenInputs(source, everything, begin, torch.zeros(1, dtype=torch.int64)))
            own = model.backbone(input_ids=source, attention_mask=everything.long(), decoder_input_ids=begin).logits[0]
    except Exception as error:
        raise ModelError(f"{model.name}: does not work on one token: {type(error).__name__}: {error}") from error
    finally:
        model.train()
    if logits.shape != own.shape or not torch.allclose(logits, own, rtol=1e-4, atol=1e-4, equal_nan=True):
        raise ModelError(
            f"{model.name}: its last linear layer applied to its decoder's output does not give its logits, "
            f"so this architecture ({type(model.backbone).__name__}) cannot be used; Marian, BART and mBART can"
        )
