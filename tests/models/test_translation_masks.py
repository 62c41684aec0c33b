"""Ready masks give the bits of the library's own, and only where they are understood."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tosmooth.models import translation_masks
from tosmooth.models.translation_inputs import TokenInputs
from tosmooth.models.translation_masks import FAMILIES, attention_masks, takes_ready_masks
from tosmooth.models.translation_model import TranslationModel

transformers = pytest.importorskip("transformers")

CLASSES = {
    "bart": ("BartConfig", "BartForConditionalGeneration"),
    "m2m_100": ("M2M100Config", "M2M100ForConditionalGeneration"),
    "marian": ("MarianConfig", "MarianMTModel"),
    "mbart": ("MBartConfig", "MBartForConditionalGeneration"),
    "pegasus": ("PegasusConfig", "PegasusForConditionalGeneration"),
}
TINY = {
    "vocab_size": 40, "d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 16,
    "decoder_ffn_dim": 16, "encoder_attention_heads": 2, "decoder_attention_heads": 2, "pad_token_id": 0,
    "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1, "max_position_embeddings": 32,
}  # fmt: skip


def build(family: str, **more: object) -> TranslationModel:
    config, model = (getattr(transformers, name) for name in CLASSES[family])
    torch.manual_seed(0)
    return TranslationModel(model._from_config(config(**TINY), **more), family).eval()


def batch(*, padded: bool) -> TokenInputs:
    generator = torch.Generator().manual_seed(0)
    source, target = (torch.randint(4, 40, (4, length), generator=generator) for length in (9, 7))
    mask = torch.ones_like(source, dtype=torch.bool)
    if padded:
        mask &= torch.arange(9) < torch.tensor([9, 5, 8, 3])[:, None]
    return TokenInputs(source.masked_fill(~mask, 0), mask, target, torch.arange(0, 28, 3))


def logits_and_gradients(model: TranslationModel, inputs: TokenInputs, *, bf16: bool) -> list[Tensor]:
    model.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        logits = model(inputs)
    logits.float().logsumexp(1).sum().backward()
    return [logits.detach(), *(p.grad.clone() for p in model.parameters() if p.grad is not None)]


@pytest.mark.parametrize("family", FAMILIES)
def test_ready_masks_change_no_bit(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build(family)
    assert takes_ready_masks(model.backbone)
    for padded, bf16 in [(True, False), (False, False), (True, True)]:
        inputs = batch(padded=padded)
        ready = logits_and_gradients(model, inputs, bf16=bf16)
        with monkeypatch.context() as patch:
            patch.setattr(translation_masks, "takes_ready_masks", lambda backbone: False)
            plain = logits_and_gradients(model, inputs, bf16=bf16)
        assert all(torch.equal(a, b) for a, b in zip(ready, plain, strict=True))


def test_who_attends_in_another_way_is_given_what_tokenizers_give() -> None:
    mask = batch(padded=True).source_mask
    model = build("marian", attn_implementation="eager")  # which adds masks up, and wants them as numbers
    found = attention_masks(model.backbone, mask, 7)
    assert found.decoder is None
    assert torch.equal(found.encoder, mask.long())
    assert torch.equal(found.cross, mask.long())
