"""Sentences learnt by heart come back through the task's own measure, and its figures are sacrebleu's."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import sacrebleu
import torch

from tests.tasks.sentences import raw_study
from tosmooth.config.schema import StudyConfig
from tosmooth.data.translation.data import TranslationData
from tosmooth.data.translation.split import TokenSplit
from tosmooth.data.translation.vocabulary import load_vocabulary
from tosmooth.errors import ConfigError
from tosmooth.models.study_model import StudyModel
from tosmooth.models.translation_search import translate
from tosmooth.recipes.reading import load_config
from tosmooth.study.bench import load_data
from tosmooth.tasks.find import find_task
from tosmooth.tasks.translation import LIBRARIES, Translation
from tosmooth.training.compute import Compute
from tosmooth.training.loop import train_group
from tosmooth.training.loss_functions import label_smoothing_loss
from tosmooth.training.trainee import Trainee


class Learnt(NamedTuple):
    """A model that has learnt 64 pairs by heart; validation is these pairs, the first half of them called new."""

    config: StudyConfig
    data: TranslationData
    model: StudyModel
    compute: Compute
    folder: Path
    measured: dict[str, Any]


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Learnt:
    folder = tmp_path_factory.mktemp("learnt")
    width = {"d_model": 64, "encoder_ffn_dim": 128, "decoder_ffn_dim": 128, "dropout": 0.0}
    raw = raw_study(translation={"beam": 4})
    raw["student"]["model"]["kwargs"] |= width
    raw["student"] |= {"epochs": 70, "batch_size": 600}
    raw["student"]["schedule"]["warmup_steps"] = 50
    config = load_config(raw)
    task, compute = Translation(), Compute.from_config(config.compute)
    data = task.load_data(config)
    assert data.train.pairs == 64
    halves = np.arange(64) < 32
    data = dataclasses.replace(data, validation=TokenSplit(data.train.texts, data.vocabulary, "known", novel=halves))
    batches = task.pipeline(config.data, data, compute.device).training(data.train, batch_size=600, seed=0)
    model = task.new_model(config, data, config.student.model, 0)
    steps = len(batches)
    trainee = Trainee("it", model, label_smoothing_loss(0.0), config.student, compute, 0, steps, folder, None)
    train_group([trainee], batches, compute=compute)
    measured = task.measure(config, data, trainee.model, "val", compute, folder)
    return Learnt(config, data, trainee.model, compute, folder, measured)


def translations(learnt: Learnt) -> dict[str, list[str]]:
    found: dict[str, dict[str, list[str]]] = json.loads(
        (learnt.folder / "translations.json").read_text(encoding="utf-8")
    )
    assert list(found) == ["val"]
    return found["val"]


@pytest.mark.slow
def test_64_pairs_learnt_by_heart_are_translated_nearly_without_mistakes(learnt: Learnt):
    assert learnt.measured["val/bleu"] > 90
    own = translations(learnt)
    right = sum(one == other for one, other in zip(own["hypotheses"], own["references"], strict=True))
    assert right > 50


@pytest.mark.slow
def test_an_untrained_model_does_not(learnt: Learnt, tmp_path: Path):
    task = Translation()
    data = dataclasses.replace(
        learnt.data,
        validation=TokenSplit(learnt.data.train.texts.select(np.arange(8)), learnt.data.vocabulary, "a few"),
    )
    model = task.new_model(learnt.config, data, learnt.config.student.model, 1)
    found = task.measure(learnt.config, data, model, "val", learnt.compute, tmp_path)
    assert found["val/bleu"] < 5
    assert found["val/bleu_novel"] is None  # nobody said which are new
    assert found["val/chrf_novel"] is None


@pytest.mark.slow
def test_the_figures_are_what_sacrebleu_says_of_the_written_translations(learnt: Learnt):
    own, measured = translations(learnt), learnt.measured
    bleu, chrf = sacrebleu.BLEU(), sacrebleu.CHRF()
    assert own["sources"] == list(learnt.data.train.sources)
    assert own["references"] == list(learnt.data.train.targets)
    assert measured["val/bleu"] == bleu.corpus_score(own["hypotheses"], [own["references"]]).score
    assert measured["val/chrf"] == chrf.corpus_score(own["hypotheses"], [own["references"]]).score
    half = bleu.corpus_score(own["hypotheses"][:32], [own["references"][:32]]).score
    assert measured["val/bleu_novel"] == half
    assert half != measured["val/bleu"]
    assert measured["val/chrf_novel"] == chrf.corpus_score(own["hypotheses"][:32], [own["references"][:32]]).score
    assert measured["bleu_signature"] == str(bleu.get_signature())


@pytest.mark.slow
def test_the_search_is_that_of_the_configuration(learnt: Learnt, tmp_path: Path):
    """Of sentences that the model does not know, what it says depends on the search."""
    few = TokenSplit(learnt.data.test.texts.select(np.arange(8)), learnt.data.vocabulary, "a few")
    data, model = dataclasses.replace(learnt.data, validation=few), learnt.model
    said = {}
    for beam, penalty in ((1, 1.0), (3, 0.0), (3, 3.0)):
        section = learnt.config.translation.model_copy(update={"beam": beam, "length_penalty": penalty})
        config = learnt.config.model_copy(update={"translation": section})
        folder = tmp_path / f"{beam}-{penalty}"
        Translation().measure(config, data, model, "val", learnt.compute, folder)
        written = json.loads((folder / "translations.json").read_text(encoding="utf-8"))["val"]
        sources = [ids.tolist() for ids in few.source_ids]
        found = translate(model, data.vocabulary, sources, beam=beam, length_penalty=penalty)
        assert written["hypotheses"] == [data.vocabulary.decode(ids) for ids in found]
        said[beam, penalty] = tuple(written["hypotheses"])
    assert len(set(said.values())) == 3


@pytest.mark.slow
def test_the_tokens_of_new_sentences_are_counted_alone(learnt: Learnt):
    """By hand: sentences of 2, 1 and 3 tokens, of which the first and the last are new."""
    vocabulary = learnt.data.vocabulary
    texts = learnt.data.train.texts.select(np.arange(3))
    ids = [[7, vocabulary.eos], [vocabulary.eos], [8, 9, vocabulary.eos]]

    def split(novel: list[bool] | None) -> TokenSplit:
        mask = None if novel is None else np.array(novel)
        return TokenSplit(texts, vocabulary, "a few", source_ids=ids, target_ids=ids, novel=mask)

    correct = torch.tensor([1, 0, 0, 1, 1, -1], dtype=torch.int8)
    task = Translation()
    assert task.of_correct(split([True, False, True]), correct) == {"top1_novel": 75.0}  # what was not read is left out
    assert task.of_correct(split([False, True, False]), correct) == {"top1_novel": 0.0}
    assert task.of_correct(split([False, False, False]), correct) == {"top1_novel": None}
    assert task.of_correct(split(None), correct) == {"top1_novel": None}
    assert find_task("image_classification").of_correct(None, correct) == {}


@pytest.mark.slow
def test_a_second_split_is_written_beside_the_first(learnt: Learnt, tmp_path: Path):
    few = TokenSplit(learnt.data.test.texts.select(np.arange(3)), learnt.data.vocabulary, "test")
    data = dataclasses.replace(learnt.data, validation=few, test=few)
    for split in ("val", "test"):
        found = Translation().measure(learnt.config, data, learnt.model, split, learnt.compute, tmp_path)
        assert f"{split}/bleu" in found
    written = json.loads((tmp_path / "translations.json").read_text(encoding="utf-8"))
    assert list(written) == ["val", "test"]
    assert written["val"] == written["test"]
    assert written["test"]["sources"] == list(few.sources)


@pytest.mark.slow
def test_the_vocabulary_beside_the_weights_reads_and_writes_the_same(learnt: Learnt):
    own = learnt.data.vocabulary
    loaded = load_vocabulary(learnt.folder / "vocabulary")
    assert loaded.digest() == own.digest()
    unseen = list(learnt.data.test.targets)
    assert loaded.encode(unseen) == own.encode(unseen)
    found = translate(learnt.model, loaded, loaded.encode(learnt.data.train.sources[:5]), beam=4)
    assert [loaded.decode(ids) for ids in found] == translations(learnt)["hypotheses"][:5]


@pytest.mark.parametrize("absent", LIBRARIES)
def test_a_missing_library_is_named_with_what_to_install(absent: str, monkeypatch: pytest.MonkeyPatch):
    config = load_config(raw_study())
    monkeypatch.setitem(sys.modules, absent, None)  # as Python has it: importing it fails from now on
    with pytest.raises(ConfigError) as caught:
        load_data(config)
    (mistake,) = caught.value.mistakes
    assert f"translation needs {absent}, " in mistake
    assert mistake.endswith('pip install "tosmooth[translation]"')
