from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from tests.models.test_translation import SMALL, Tokens, small
from tests.models.test_translation_model import random_pairs, teacher_forced
from tosmooth.errors import ModelError
from tosmooth.models.features import PenultimateFeatures
from tosmooth.models.translation import build_translation_model
from tosmooth.models.translation_search import translate
from tosmooth.models.weights import load_weights, save_weights, weights_hash

transformers = pytest.importorskip("transformers")

# As in Marian's own vocabularies: the decoder starts with padding, and padding is the last token.
TOKENS = Tokens(pad=39, start=39, eos=0, unk=1, size=40)
SIZES = {**SMALL, "encoder_attention_heads": 2, "decoder_attention_heads": 2}


def marian():
    torch.manual_seed(0)
    config = transformers.MarianConfig(
        vocab_size=40, pad_token_id=39, decoder_start_token_id=39, eos_token_id=0, max_position_embeddings=24, **SIZES
    )
    model = transformers.MarianMTModel(config).eval()
    model.final_logits_bias.normal_()
    model.generation_config.update(num_beams=6, max_length=3, bad_words_ids=[[39], [7]], forced_eos_token_id=0)
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("marian")
    marian().save_pretrained(path)
    return path


def load(folder, tokens=TOKENS, **options):
    return build_translation_model(f"hf:{folder}", tokens, max_length=24, **{"pretrained": True, **options})


def pairs():
    inputs, _ = teacher_forced(*random_pairs(replace(TOKENS, size=39), 5), TOKENS)
    return inputs


def own_logits(backbone, inputs):
    given = {"input_ids": inputs.source, "attention_mask": inputs.source_mask.long()}
    return backbone(**given, decoder_input_ids=inputs.decoder_inputs).logits.flatten(0, 1)[inputs.positions]


def test_pretrained_logits_are_the_librarys_and_made_by_one_layer(folder):
    model, inputs = load(folder).eval(), pairs()
    assert model.num_classes == 40
    with torch.no_grad(), PenultimateFeatures(model, 40) as features_of:
        logits, features = features_of(inputs)
        torch.testing.assert_close(logits, own_logits(marian(), inputs))
        torch.testing.assert_close(logits, own_logits(model.backbone, inputs))
        layer = features_of.last_layer
        torch.testing.assert_close(features @ layer.weight.T + layer.bias, logits)
    assert layer.bias.abs().min() > 0
    assert not layer.bias.requires_grad
    assert torch.equal(layer.bias, marian().final_logits_bias[0])


def test_the_state_dict_has_the_librarys_names(folder):
    model = load(folder)
    state, library = model.backbone.state_dict(), marian().state_dict()
    assert set(state) == set(library)
    assert all(torch.equal(state[name], library[name]) for name in library)
    assert weights_hash(model) == weights_hash(marian())
    model.backbone.load_state_dict(marian().state_dict(), strict=True)


def test_weights_go_to_disk_and_back_and_into_the_library(folder, tmp_path):
    model, inputs = load(folder).eval(), pairs()
    save_weights(model, tmp_path / "model.safetensors")
    other = load(folder, pretrained=False, seed=5).eval()
    assert weights_hash(other) != weights_hash(model)
    load_weights(other, tmp_path / "model.safetensors")
    for name, tensor in model.backbone.state_dict().items():
        assert torch.equal(tensor, other.backbone.state_dict()[name]), name
    embeddings = other.backbone.model
    assert other.last_layer.weight is embeddings.shared.weight is embeddings.decoder.embed_tokens.weight
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    library, report = transformers.MarianMTModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    with torch.no_grad():
        torch.testing.assert_close(own_logits(library.eval(), inputs), other(inputs))
        assert torch.equal(model(inputs), other(inputs))


def test_a_file_of_the_library_is_a_checkpoint(folder):
    model = load(folder, pretrained=False, checkpoint=folder / "model.safetensors")
    assert weights_hash(model) == weights_hash(marian())


def test_trained_weights_come_back_still_tied(tmp_path):
    model, other = small(seed=0), small(seed=1)
    with torch.no_grad():
        model.last_layer.weight.add_(1)
    save_weights(model, tmp_path / "w.safetensors")
    load_weights(other, tmp_path / "w.safetensors")
    assert weights_hash(other) == weights_hash(model)
    assert other.last_layer.weight is other.backbone.model.shared.weight
    built = small(seed=2, checkpoint=tmp_path / "w.safetensors")
    assert weights_hash(built) == weights_hash(model)
    with pytest.raises(ModelError, match=r"w\.safetensors.*\(1, 40\) there, \(1, 41\) here"):
        small(Tokens(size=41), checkpoint=tmp_path / "w.safetensors")


def test_another_vocabulary_is_refused_with_both_numbers(folder):
    with pytest.raises(ModelError, match=r"vocab_size is 40 in the model and 41 in the data's vocabulary"):
        load(folder, replace(TOKENS, size=41))
    with pytest.raises(ModelError, match=r"pad_token_id is 39 in the model and 2 in the data's vocabulary"):
        load(folder, replace(TOKENS, pad=2))
    with pytest.raises(ModelError, match=r"decoder_start_token_id is 39 .* and 2 .*eos_token_id is 0 .* and 3 "):
        load(folder, replace(TOKENS, start=2, eos=3))
    with pytest.raises(ModelError, match="has 24 positions, sentences may have 25 tokens"):
        build_translation_model(f"hf:{folder}", TOKENS, max_length=25, pretrained=True)


def test_without_pretrained_only_the_architecture_is_taken(folder):
    tokens = Tokens(size=50)
    model = build_translation_model(f"hf:{folder}", tokens, max_length=30, seed=1, kwargs={"encoder_layers": 2})
    assert (model.num_classes, model.max_length, len(model.backbone.model.encoder.layers)) == (50, 30, 2)
    assert not model.last_layer.bias.any()
    again = build_translation_model(f"hf:{folder}", tokens, max_length=30, seed=1, kwargs={"encoder_layers": 2})
    assert weights_hash(again) == weights_hash(model)
    assert len(translate(model, tokens, [[5, 6, 2]], beam=2)) == 1


def test_options_are_fields_of_the_configuration(folder):
    assert load(folder, kwargs={"dropout": 0.4}).backbone.config.dropout == 0.4
    with pytest.raises(ModelError, match=r"unknown kwargs 'dropuot'; did you mean 'dropout'"):
        load(folder, kwargs={"dropuot": 0.4})
    with pytest.raises(ModelError, match="never run"):
        load(folder, kwargs={"trust_remote_code": True})
    with pytest.raises(ModelError, match=r"not of this model: \d+ tensors would start from random"):
        load(folder, kwargs={"decoder_layers": 2})


def test_the_search_ignores_what_the_folder_says_about_searching(folder):
    model = load(folder)
    model.last_layer.bias[7] = 1e4  # a bad word there, and beyond its maximal length
    assert translate(model, TOKENS, [[5, 6, 0]], beam=3, max_new_tokens=8) == [[7] * 8]
    assert model.backbone.generation_config.num_beams == 6


def test_half_precision_folders_become_float32(folder, tmp_path):
    marian().half().save_pretrained(tmp_path)
    for pretrained in (True, False):
        model = load(tmp_path, pretrained=pretrained)
        assert {tensor.dtype for tensor in model.backbone.state_dict().values()} == {torch.float32}
        table = model.backbone.model.encoder.embed_positions.weight
        assert torch.equal(table, marian().model.encoder.embed_positions.weight)


def test_bart_too(tmp_path):
    torch.manual_seed(0)
    ids = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 2}
    config = transformers.BartConfig(vocab_size=40, max_position_embeddings=24, **ids, **SIZES)
    bart = transformers.BartForConditionalGeneration(config).eval()
    bart.final_logits_bias.normal_()
    bart.save_pretrained(tmp_path)
    tokens = Tokens(pad=1, start=2, eos=2, unk=3)
    model = load(tmp_path, tokens).eval()
    inputs, _ = teacher_forced(*random_pairs(tokens, 4), tokens)
    with torch.no_grad():
        torch.testing.assert_close(model(inputs), own_logits(bart, inputs))
    assert len(translate(model, tokens, [[5, 2], [6, 7, 2]], beam=2)) == 2


def test_architectures_that_do_not_fit_are_refused(tmp_path):
    t5 = transformers.T5Config(
        vocab_size=40, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, decoder_start_token_id=0
    )
    t5.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"does not give its logits, so this architecture \(T5For"):
        load(tmp_path, Tokens(pad=0, start=0, eos=1), pretrained=False)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    with pytest.raises(ModelError, match="'gpt2' is no encoder-decoder"):
        load(tmp_path)
