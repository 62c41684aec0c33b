"""Translations by beam search, each as if its sentence stood alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from tosmooth.errors import ModelError
from tosmooth.models.translation_model import SpecialTokens, TranslationModel


def translate(
    model: TranslationModel,
    vocabulary: SpecialTokens,
    sources: Sequence[Sequence[int]],
    *,
    beam: int = 5,
    length_penalty: float = 1.0,
    max_new_tokens: int | None = None,
    batch_tokens: int = 4000,
) -> list[list[int]]:
    """Translate sentences by the beam search of the transformers library, without gradients and without dropout.

    The search of a sentence ends when `beam` hypotheses are complete and the best open one scores no better than the
    worst of them; the best by log-probability / length ** length_penalty is the translation. Padding and the start
    token are never chosen. Sentences of equal length share a batch: none is padded, and one limit is right for all.

    Args:
        model: in whatever mode; it is left as it was.
        vocabulary: the one it was built for.
        sources: token ids of every sentence, its eos included.
        beam: hypotheses kept at a time; 1 takes the likeliest token at every step.
        length_penalty: above 0 favours long translations, 1 compares mean log-probabilities.
        max_new_tokens: where a translation is cut; None takes 2 · source length + 10. Never more than the model's
            positions.
        batch_tokens: sentences × source length in a batch, unless one sentence is longer.

    Returns:
        Token ids of every translation in the order of `sources`, without start, padding and eos.

    Raises:
        ModelError: a source that is empty or has more tokens than the model has positions, or an argument below 1.
    """
    for argument, value in (("beam", beam), ("batch_tokens", batch_tokens), ("max_new_tokens", max_new_tokens)):
        if value is not None and value < 1:
            raise ModelError(f"translate: {argument} is {value}, must be at least 1")
    _check_lengths(model, sources)
    device = next(model.parameters()).device
    translations: list[list[int]] = [[] for _ in sources]
    with _searching(model), torch.no_grad():
        for rows in _batches(sources, batch_tokens):
            source = torch.tensor([list(sources[row]) for row in rows], device=device)
            limit = max_new_tokens or 2 * source.shape[1] + 10
            limit = limit if model.max_length is None else min(limit, model.max_length)
            found = model.backbone.generate(  # type: ignore[operator]
                input_ids=source,
                attention_mask=torch.ones_like(source),
                generation_config=_settings(model, vocabulary, beam, length_penalty, limit),
            )
            for row, ids in zip(rows, found.tolist(), strict=True):
                translations[row] = _words(ids, vocabulary)
    return translations


def _check_lengths(model: TranslationModel, sources: Sequence[Sequence[int]]) -> None:
    for row, source in enumerate(sources):
        if not len(source):
            raise ModelError(f"translate: sentence {row} has no tokens; every source ends with eos")
        if model.max_length is not None and len(source) > model.max_length:
            raise ModelError(
                f"translate: sentence {row} has {len(source)} tokens, {model.name} has {model.max_length} positions "
                f"(max_length)"
            )


def _batches(sources: Sequence[Sequence[int]], batch_tokens: int) -> Iterator[list[int]]:
    """Rows of equal length, short sentences first."""
    by_length: dict[int, list[int]] = defaultdict(list)
    for row, source in enumerate(sources):
        by_length[len(source)].append(row)
    for length, rows in sorted(by_length.items()):
        count = max(1, batch_tokens // length)
        for first in range(0, len(rows), count):
            yield rows[first : first + count]


def _settings(model: TranslationModel, vocabulary: SpecialTokens, beam: int, length_penalty: float, limit: int) -> Any:
    from transformers import GenerationConfig

    # Not as soon as `beam` hypotheses are complete: with a sure model, junk completes before the one good translation.
    several = {"early_stopping": False, "length_penalty": length_penalty} if beam > 1 else {}
    return GenerationConfig(
        num_beams=beam,
        do_sample=False,
        use_cache=True,
        max_new_tokens=limit,
        pad_token_id=vocabulary.pad,
        eos_token_id=vocabulary.eos,
        decoder_start_token_id=vocabulary.start,
        suppress_tokens=sorted({vocabulary.pad, vocabulary.start} - {vocabulary.eos}),
        # Multilingual models are told the target language by a forced first token.
        forced_bos_token_id=getattr(model.backbone.config, "forced_bos_token_id", None),
        **several,
    )


def _words(ids: Sequence[int], vocabulary: SpecialTokens) -> list[int]:
    """What stands between the start token, which is the first, and the first eos after it."""
    said = list(ids[1:])
    if vocabulary.eos in said:
        said = said[: said.index(vocabulary.eos)]
    return [token for token in said if token not in (vocabulary.pad, vocabulary.start)]


@contextmanager
def _searching(model: TranslationModel) -> Iterator[None]:
    """Evaluation mode, and none of the search settings that a model's folder came with."""
    from transformers import GenerationConfig

    modes = {module: module.training for module in model.modules()}
    backbone: Any = model.backbone
    came_with = backbone.generation_config
    model.eval()
    backbone.generation_config = GenerationConfig()
    try:
        yield
    finally:
        backbone.generation_config = came_with
        for module, mode in modes.items():
            module.training = mode
