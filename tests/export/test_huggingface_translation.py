"""A translation model's folder: transformers alone makes the same tokens, logits and translations."""

from __future__ import annotations

import json

import pytest
import safetensors.torch
import torch
import transformers

from tests.export.folders import TEACHER, subject_of, write_untrained
from tests.tasks.sentences import raw_study, write_pairs
from tosmooth.data.translation.vocabulary import load_vocabulary
from tosmooth.errors import ConfigError
from tosmooth.export.export import export_model
from tosmooth.models.translation_search import translate


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    root = tmp_path_factory.mktemp("sentences")
    pairs = write_pairs(root / "pairs.tsv", train=80)
    raw = raw_study(
        data={"source": "tsv", "path": str(pairs), "text": {"vocabulary": 400, "lowercase": True, "max_length": 40}},
        teacher={"label_smoothing": [0.1]},
        translation={"beam": 3},
    )
    study = write_untrained(root, raw, bias=0.5)
    export_model(study, TEACHER, ["safetensors", "huggingface"], root / "out")
    return subject_of(study), root / "out"


@pytest.fixture(scope="module")
def opened(exported):
    folder = exported[1] / "huggingface"
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    return model, transformers.AutoTokenizer.from_pretrained(folder)


def test_the_tokenizer_reads_as_the_vocabulary_does(exported, opened):
    subject, tokenizer = exported[0], opened[1]
    vocabulary = subject.pairs.vocabulary
    real = [*subject.pairs.train.sources, *subject.pairs.train.targets, *subject.pairs.test.targets]
    strange = ["", "  Two  SPACES\tand a\nline ", "Ha\u0308user", "🙂 ⟨pa", "ПРИВЕТ", "3,5 % – “so”"]
    for text in [*real, *strange]:
        ids = tokenizer(text)["input_ids"]
        assert ids == vocabulary.encode([text])[0], text
        assert tokenizer.decode(ids, skip_special_tokens=True) == vocabulary.decode(ids), text


def test_transformers_translates_as_the_study_did(exported, opened):
    """The settings of the search come along: beams, length penalty, and tokens that are never chosen."""
    (subject, _), (model, tokenizer) = exported, opened
    texts = list(subject.pairs.validation.sources[:6])
    ours = translate(
        subject.model, subject.pairs.vocabulary, subject.pairs.vocabulary.encode(texts), beam=3, max_new_tokens=12
    )
    for text, ids in zip(texts, ours, strict=True):
        found = model.generate(**tokenizer(text, return_tensors="pt"), max_new_tokens=12)[0]
        assert found.tolist()[1 : len(ids) + 1] == ids
    assert len({tuple(ids) for ids in ours}) > 1
    assert model.generation_config.num_beams == 3
    assert model.final_logits_bias.std() > 0.3  # is not lost on the way


def test_padding_changes_nothing(exported, opened):
    model, tokenizer = opened
    texts = list(exported[0].pairs.validation.sources[:4])
    given = tokenizer(texts, return_tensors="pt", padding=True)
    assert set(given) == {"input_ids", "attention_mask"}
    start = torch.full((4, 1), model.config.decoder_start_token_id)
    with torch.no_grad():
        together = model(**given, decoder_input_ids=start).logits
        for row, text in enumerate(texts):
            alone = model(**tokenizer(text, return_tensors="pt"), decoder_input_ids=start[:1]).logits[0]
            torch.testing.assert_close(together[row], alone, rtol=1e-4, atol=1e-4)


def test_weights_and_vocabulary_lie_side_by_side(exported):
    subject, folder = exported
    assert load_vocabulary(folder / "vocabulary").digest() == subject.pairs.vocabulary.digest()
    names = set(safetensors.torch.load_file(folder / "model.safetensors"))
    assert "final_logits_bias" in names
    assert not (folder / "labels.json").exists()


def test_the_card_speaks_of_sentences(exported):
    card = (exported[1] / "README.md").read_text(encoding="utf-8")
    assert "pipeline_tag: translation" in card
    assert "library_name: transformers" in card
    assert "en to de" in card
    assert "AutoModelForSeq2SeqLM" in card
    alone = (exported[1] / "huggingface" / "README.md").read_text(encoding="utf-8")
    assert 'from_pretrained(".")' in alone
    assert "model.safetensors" not in alone


def test_programs_are_refused_in_one_sentence(exported, tmp_path):
    with pytest.raises(ConfigError) as caught:
        export_model(exported[0].path, TEACHER, ["onnx", "huggingface", "torch_export"], tmp_path / "out")
    assert [m.partition(" is of image models")[0] for m in caught.value.mistakes] == [
        "--format: onnx",
        "--format: torch_export",
    ]
    assert "safetensors or huggingface" in str(caught.value)


def test_a_vocabulary_of_somebody_elses_comes_along(exported, tmp_path):
    """A tokenizer of transformers as `data.text.tokenizer`: the one just exported."""
    subject, folder = exported
    raw = raw_study(
        data={
            "source": "tsv",
            "path": str(subject.config.data.path),
            "text": {"tokenizer": str(folder / "huggingface"), "max_length": 40},
        },
        teacher={"label_smoothing": [0.1]},
    )
    export_model(write_untrained(tmp_path, raw), TEACHER, ["huggingface"], tmp_path / "out")
    again = transformers.AutoTokenizer.from_pretrained(tmp_path / "out" / "huggingface")
    text = subject.pairs.train.sources[0]
    assert again(text)["input_ids"] == subject.pairs.vocabulary.encode([text])[0]
    files = json.loads((tmp_path / "out" / "export.json").read_text(encoding="utf-8"))["files"]
    assert "huggingface/generation_config.json" in files
