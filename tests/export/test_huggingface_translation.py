"""A translation model's folder: transformers alone makes the same tokens, logits and translations."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch
import transformers

from tests.export.folders import TEACHER, subject_of, write_untrained
from tests.tasks.sentences import raw_study, write_pairs
from tosmooth.data.translation.vocabulary import load_vocabulary
from tosmooth.errors import ConfigError
from tosmooth.export import huggingface_translation
from tosmooth.export.export import export_model
from tosmooth.models.translation_search import translate
from tosmooth.recipes.reading import load_config
from tosmooth.study.single import evaluate_weights


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    root = tmp_path_factory.mktemp("sentences")
    pairs = write_pairs(root / "pairs.tsv", train=80)
    # The first pair of validation has more tokens than the model has positions: the split cuts it.
    lines = pairs.read_text(encoding="utf-8").splitlines()
    words = " ".join(line.split("\t")[1] for line in lines[:30])
    pairs.write_text("\n".join([f"valid\t{words}\t{words}", *lines]) + "\n", encoding="utf-8")
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


def test_a_sentence_longer_than_the_model_has_positions_is_compared_too(exported):
    (subject, _), split = exported, exported[0].pairs.validation
    assert len(subject.pairs.vocabulary.encode(split.sources[:1])[0]) > 40
    assert len(split.source_ids[0]) == len(split.target_ids[0]) == 40
    assert huggingface_translation.difference(subject, exported[1]) < 1e-4


def test_the_tokenizer_reads_as_the_vocabulary_does(exported, opened):
    subject, tokenizer = exported[0], opened[1]
    vocabulary = subject.pairs.vocabulary
    real = [
        *subject.pairs.validation.sources[:1],
        *subject.pairs.train.sources,
        *subject.pairs.train.targets,
        *subject.pairs.test.targets,
    ]
    strange = ["", "  Two  SPACES\tand a\nline ", "Ha\u0308user", "🙂 ⟨pa", "ПРИВЕТ", "3,5 % – “so”"]
    for text in [*real, *strange]:
        ids = tokenizer(text)["input_ids"]
        assert ids == vocabulary.encode([text])[0], text
        assert tokenizer.decode(ids, skip_special_tokens=True) == vocabulary.decode(ids), text


def test_transformers_translates_as_the_study_did(exported, opened):
    """The settings of the search come along: beams, length penalty, and tokens that are never chosen."""
    (subject, _), (model, tokenizer) = exported, opened
    texts = list(subject.pairs.validation.sources[1:7])  # the first is too long for it
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
    texts = list(exported[0].pairs.validation.sources[1:5])
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
    assert [m.partition(": a model of task: translation")[0] for m in caught.value.mistakes] == [
        "--format: onnx",
        "--format: torch_export",
    ]
    assert "safetensors or huggingface" in str(caught.value)


@pytest.mark.parametrize(
    ("formats", "named", "weights"),
    [
        (["safetensors", "huggingface"], "vocabulary/tokenizer", "model.safetensors"),
        (["huggingface"], "huggingface", "huggingface/model.safetensors"),
    ],
)
def test_a_tokenizer_of_a_local_folder_comes_along(exported, tmp_path, monkeypatch, formats, named, weights):
    """As `data.text.tokenizer`: the one just exported. Nothing leads back to its folder, not even to measure again."""
    subject, folder = exported
    source, pairs = tmp_path / "mine", subject.config.data.path
    shutil.copytree(folder / "huggingface", source)
    # As many models have it: what a decoder begins with is no token that the tokenizer itself would name.
    settings = json.loads((source / "config.json").read_text(encoding="utf-8"))
    start, size = 7, settings["vocab_size"] + 5
    (source / "config.json").write_text(
        json.dumps({**settings, "decoder_start_token_id": start, "vocab_size": size}), encoding="utf-8"
    )
    raw = raw_study(
        data={
            "source": "tsv",
            "path": str(pairs),
            "limit_validation": 4,
            "text": {"tokenizer": str(source), "max_length": 40, "lowercase": True},
        },
        teacher={"label_smoothing": [0.1]},
        translation={"beam": 1},
    )
    study, out = write_untrained(tmp_path, raw), tmp_path / "out"
    export_model(study, TEACHER, formats, out)
    own = evaluate_weights(
        load_config(raw), study / "teachers" / TEACHER / "model.safetensors", "teacher", "validation"
    )
    again = transformers.AutoTokenizer.from_pretrained(out / "huggingface")
    text = subject.pairs.train.sources[0]
    assert again(text)["input_ids"] == subject.pairs.vocabulary.encode([text])[0]
    assert (
        "huggingface/generation_config.json" in json.loads((out / "export.json").read_text(encoding="utf-8"))["files"]
    )
    for path in out.rglob("*"):
        assert path.is_dir() or str(tmp_path).encode() not in path.read_bytes(), path
    shutil.rmtree(source)
    monkeypatch.chdir(out)
    config = load_config("study.yaml", [f"data.path={pairs}"])
    assert config.data.text.tokenizer == named
    found = evaluate_weights(config, Path(weights), "teacher", "validation")
    assert {**found, "weights": ""} == {**own, "weights": ""}
