from __future__ import annotations

import importlib.util
import subprocess
import sys
from dataclasses import dataclass

import pytest
import torch

from tosmooth.errors import ModelError
from tosmooth.models.translation import build_translation_model, validate_translation_model_name
from tosmooth.models.weights import weights_hash

transformers = pytest.importorskip("transformers")

SMALL = {"d_model": 32, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "encoder_layers": 1, "decoder_layers": 1}


@dataclass(frozen=True)
class Tokens:
    pad: int = 0
    start: int = 1
    eos: int = 2
    unk: int = 3
    size: int = 40


def small(vocabulary=None, seed: int | None = 0, max_length: int = 32, checkpoint=None, **kwargs):
    options = {"checkpoint": checkpoint, "kwargs": {**SMALL, **kwargs}}
    return build_translation_model(
        "transformer_small", vocabulary or Tokens(), max_length=max_length, seed=seed, **options
    )


def test_the_named_architectures():
    tokens = Tokens(size=100)
    for name, layers, width in (("transformer_iwslt_de_en", 6, 512), ("transformer_small", 2, 256)):
        model = build_translation_model(name, tokens, max_length=16, kwargs={"dropout": 0.1})
        config = model.backbone.config
        assert (config.encoder_layers, config.decoder_layers, config.d_model) == (layers, layers, width)
        assert (config.encoder_ffn_dim, config.decoder_attention_heads, config.dropout) == (1024, 4, 0.1)
        assert model.num_classes == model.last_layer.out_features == 100
        assert model.max_length == 16
        assert model.training
        shared = model.backbone.model.shared.weight.detach()
        for layer in (model.last_layer, model.backbone.get_encoder().embed_tokens):
            assert layer.weight is model.backbone.model.shared.weight
        # Scaled embeddings have variance 1, like the sinusoids of the positions they are added to.
        assert float((shared[1:] * width**0.5).std()) == pytest.approx(1, abs=0.05)
        assert not shared[tokens.pad].any()


def test_positions_are_the_sinusoids_and_are_not_trained():
    model = small()
    for side in (model.backbone.get_encoder(), model.backbone.get_decoder()):
        table = side.embed_positions.weight
        assert not table.requires_grad
        place, frequency = 5, 3
        angle = torch.tensor(place / 10000 ** (2 * frequency / 32))
        torch.testing.assert_close(table[place, frequency], angle.sin())
        torch.testing.assert_close(table[place, 16 + frequency], angle.cos())


def test_the_seed_makes_the_weights_and_leaves_the_callers_state():
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first = small(seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(5)
    assert weights_hash(small(seed=3)) == weights_hash(first) != weights_hash(small(seed=4))
    assert weights_hash(small(seed=None)) != weights_hash(small(seed=None))


def test_a_misspelt_field_is_refused_with_the_nearest():
    with pytest.raises(ModelError, match=r"unknown kwargs 'encoder_layer'; did you mean 'encoder_layers'"):
        small(encoder_layer=3)


@pytest.mark.parametrize(
    ("field", "reason"),
    [("vocab_size", "vocabulary sets it"), ("max_position_embeddings", "max_length"), ("pad_token_id", "vocabulary")],
)
def test_what_the_data_sets_is_refused(field, reason):
    with pytest.raises(ModelError, match=f"must not hold '{field}'; .*{reason}"):
        small(**{field: 7})


def test_values_the_library_refuses_are_one_clear_error():
    with pytest.raises(ModelError, match=r"transformer_small: could not be built: .*divisible by.*heads"):
        small(encoder_attention_heads=5)
    with pytest.raises(ModelError, match="transformer_small"):
        small(dropout=1.5)
    with pytest.raises(ModelError, match="transformer_small"):
        small(d_model="wide")
    with pytest.raises(ModelError, match="max_length is 0"):
        small(max_length=0)
    with pytest.raises(ModelError, match="no pretrained weights"):
        build_translation_model("transformer_small", Tokens(), max_length=8, pretrained=True)


def test_names(tmp_path):
    validate_translation_model_name("transformer_small")
    validate_translation_model_name("hf:Helsinki-NLP/opus-mt-en-de")
    with pytest.raises(ModelError, match="did you mean 'transformer_small'"):
        validate_translation_model_name("transformer_smal")
    with pytest.raises(ModelError, match=r"no config\.json"):
        validate_translation_model_name(f"hf:{tmp_path}")
    with pytest.raises(ModelError, match="no such folder"):
        validate_translation_model_name("hf:/no/such/folder")


def test_a_name_is_checked_without_importing_transformers():
    code = (
        "import sys; from tosmooth.models.translation import validate_translation_model_name as check; "
        "check('transformer_small'); check('hf:owner/model'); sys.exit('transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_without_transformers_the_error_says_what_to_install(monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "transformers" else real(name))
    for name in ("transformer_small", "hf:owner/model"):
        with pytest.raises(ModelError, match=r'pip install "tosmooth\[translation\]"'):
            build_translation_model(name, Tokens(), max_length=8)
