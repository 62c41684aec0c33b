"""Configurations of sentences and of images kept apart: every mixture is one clear sentence, and all come at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.tasks.sentences import raw_study
from tosmooth.config.schema import dump_config
from tosmooth.errors import ConfigError, ModelError, TosmoothError
from tosmooth.losses.objectives import OBJECTIVES, register_objective
from tosmooth.models.weights import save_weights
from tosmooth.recipes.reading import load_config
from tosmooth.search.plan import planned
from tosmooth.study.bench import load_data
from tosmooth.study.context import Context
from tosmooth.study.progress import StudyProgress
from tosmooth.study.run import run_study
from tosmooth.study.single import evaluate_weights
from tosmooth.tasks.find import find_task


def mistakes(raw: dict[str, Any], *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(raw, overrides)
    return caught.value.mistakes


def test_a_sound_configuration_passes_and_reads_back(tmp_path):
    config = load_config(raw_study(), ["student.average_last=2", "compute.fused_loss=on", "student.topk=8"])
    (tmp_path / "study.yaml").write_text(dump_config(config), encoding="utf-8")
    assert load_config(str(tmp_path / "study.yaml")) == config
    assert config.student.model.kwargs["d_model"] == 32


# An override of a study of sentences, and what the one mistake says.
OF_SENTENCES = [
    ("data.source=fashion_mnist_sample", "data.source: 'fashion_mnist_sample' does not go with task: translation; "),
    ("data.source=cifar10", "data.source: 'cifar10' does not go with task: translation; "),
    ("data.source=translation_sampl", "unknown data source 'translation_sampl'; did you mean 'translation_sample'?"),
    ("student.model=resnet8", "student.model.name: unknown translation model 'resnet8'; "),
    ("teacher.model=timm:resnet18", "teacher.model.name: unknown translation model 'timm:resnet18'; "),
    ("student.models=[{name: resnet8}]", "student.models.0.name: unknown translation model 'resnet8'; "),
    ("student.model.name=transformer_smal", "student.model.name: "),
    ("student.model.width=2", "student.model.width: is of image models; translation models take kwargs (d_model, "),
    ("teacher.model.replace_head=true", "teacher.model.replace_head: is of image models; "),
    ("student.average_last=4", "student.average_last: 4 of 3 epochs; give at most as many"),
    ("teacher.average_last=0", "teacher.average_last: "),
    ("data.text.source_language=english!", "data.text.source_language: "),
    ("data.text.target_language=d", "data.text.target_language: "),
    ("data.text.vocabulary=10", "data.text.vocabulary: should be greater than or equal to 260 (got 10)"),
    ("data.text.vocabluary=500", "data.text.vocabluary: unknown key; did you mean 'vocabulary'?"),
    ("student.optimizer.name=adm", "student.optimizer.name: should be 'sgd', 'adam', 'adamw', 'nadamw'"),
    ("student.optimizer.betas=[0.9, 1.0]", "student.optimizer.betas.1: should be less than 1"),
    ("student.schedule.name=invers_sqrt", "student.schedule.name: should be 'cosine', 'step', 'inverse_sqrt', "),
    ("student.label_smoothing=0.1", "student.label_smoothing: 0.1 smooths the hard labels, which count for nothing"),
    ("student.topk=0", "student.topk: should be greater than 0"),
    ("translation.beam=0", "translation.beam: should be greater than or equal to 1"),
    ("translation.beem=4", "translation.beem: unknown key; did you mean 'beam'?"),
    ("analysis.tokens=2", "analysis.tokens: should be greater than or equal to 3"),
    ("task=translations", "task: unknown task 'translations'; did you mean 'translation'?"),
]


@pytest.mark.parametrize(("override", "expected"), OF_SENTENCES, ids=[override for override, _ in OF_SENTENCES])
def test_a_mistake_is_one_clear_sentence(override: str, expected: str):
    found = mistakes(raw_study(), override)
    if override == "task=translations":  # then it is no study of sentences, and its parts do not fit either
        found = found[:1]
    (only,) = found
    assert expected in only
    key = override.partition("=")[0]
    assert only.startswith(key.removesuffix(".name") if key.endswith("model") else key.rpartition(".")[0])


OF_IMAGES = [
    (
        "data.source=translation_sample",
        "data.source: 'translation_sample' does not go with task: image_classification; ",
    ),
    ("data.source=parallel_text", "data.source: 'parallel_text' does not go with task: image_classification; "),
    ("student.model=transformer_small", "it is a model of task: translation"),
    (
        "student.models=[{name: transformer_iwslt_de_en}]",
        "student.models.0.name: ",
    ),
    (
        "compute.fused_loss=on",
        "compute.fused_loss: on is of task: translation; models of this one make their logits them",
    ),
    ("student.average_last=3", "student.average_last: 3 of 2 epochs; give at most as many"),
]


@pytest.mark.parametrize(("override", "expected"), OF_IMAGES, ids=[override for override, _ in OF_IMAGES])
def test_what_is_of_sentences_does_not_go_with_images(tiny_raw, override: str, expected: str):
    found = mistakes(tiny_raw, override)
    wanted = [mistake for mistake in found if expected in mistake]
    assert len(wanted) == 1
    # Sources that read a folder ask for it as well.
    assert [mistake for mistake in found if mistake not in wanted and not mistake.startswith("data.path:")] == []


@pytest.mark.parametrize("selection", ["best", "best_on_test"])
@pytest.mark.parametrize("role", ["teacher", "student"])
def test_a_mean_of_epochs_is_no_epoch_that_could_be_the_best(role: str, selection: str):
    (only,) = mistakes(raw_study(), f"{role}.average_last=2", f"selection={selection}")
    assert only == f"{role}.average_last: the mean of the last epochs needs selection: last, not {selection}"


def test_a_mean_of_epochs_goes_with_the_last(tiny_raw):
    for raw in (raw_study(), tiny_raw):
        for selection in ("auto", "last"):
            config = load_config(raw, ["student.average_last=2", f"selection={selection}"])
            assert config.student.average_last == 2


def test_objectives_that_need_all_logits_do_not_go_with_some_of_them():
    found = mistakes(raw_study(), "student.topk=4", "student.objectives=[dkd, hinton, logit_standard]")
    assert [mistake.partition(", not")[0] for mistake in found] == [
        "student.topk: the objective 'dkd' needs all of the teacher's logits",
        "student.topk: the objective 'logit_standard' needs all of the teacher's logits",
    ]
    load_config(raw_study(), ["student.topk=4", "student.objectives=[hinton, teacher_only, sequence]"])


def test_labels_that_a_teacher_wrote_can_be_smoothed():
    config = load_config(raw_study(), ["student.label_smoothing=0.1", "student.objectives=[hinton, sequence]"])
    assert config.student.label_smoothing == 0.1


@pytest.fixture
def own_objective() -> Iterator[str]:
    @register_objective("halves")
    def halves(student, teacher, temperature, targets):
        return ((student - teacher) ** 2).mean(-1) / 2

    yield "halves"
    del OBJECTIVES._known["halves"]


def test_an_objective_of_ones_own_goes_without_the_fused_loss(own_objective: str):
    (only,) = mistakes(raw_study(), "compute.fused_loss=on", f"student.objectives={own_objective}")
    assert only.startswith("compute.fused_loss: on has no 'halves', but dkd, hinton, ")
    for fused in ("auto", "off"):
        load_config(raw_study(), [f"compute.fused_loss={fused}", f"student.objectives={own_objective}"])


def test_more_outputs_than_there_are_is_told_before_any_work(tmp_path, silent):
    config = load_config(raw_study(), ["student.topk=501"])
    with pytest.raises(ConfigError, match=r"student\.topk: 501 of 500 outputs; give fewer, or null for all"):
        run_study(config, tmp_path / "runs", silent)
    assert not (tmp_path / "runs").exists()


def test_an_alias_in_yaml_is_a_copy(tmp_path):
    """An override of the student must not change the teacher that the file describes by the same lines."""
    raw = raw_study()
    assert raw["teacher"]["model"] is raw["student"]["model"]
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    assert "*id001" in (tmp_path / "study.yaml").read_text(encoding="utf-8")
    for source in (str(tmp_path / "study.yaml"), raw):
        config = load_config(source, ["student.model.kwargs.d_model=64"])
        assert (config.student.model.kwargs["d_model"], config.teacher.model.kwargs["d_model"]) == (64, 32)
    assert raw["student"]["model"]["kwargs"]["d_model"] == 32


def test_all_mistakes_come_at_once():
    found = mistakes(
        raw_study(),
        "data.source=cifar10",
        "teacher.model=resnet8",
        "student.model.width=2",
        "student.average_last=9",
        "selection=best",
        "data.text.target_language=??",
        "translation.beam=0",
        "student.topk=0",
        "oops",
    )
    for key in (
        "override 'oops'",
        "data.text.target_language",
        "data.source",
        "teacher.model.name",
        "student.model.width",
        "translation.beam",
        "student.topk",
    ):
        assert sum(mistake.startswith(key) for mistake in found) == 1, (key, found)
    of_averages = [mistake for mistake in found if mistake.startswith("student.average_last")]
    assert len(of_averages) == 2
    assert len(found) == 9


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("data.text.target_language=fr", "the embedded sample has en → de and en → ru, not en → fr"),
        ("data.text.source_language=xx", "the embedded sample has en → de and en → ru, not xx → de"),
        ("analysis.tokens=4096", None),
    ],
)
def test_what_only_the_data_can_tell(override: str, expected: str | None):
    """Codes that look like languages, but not those of the sample; more words than there are are fewer."""
    config = load_config(raw_study(), [override])
    if expected is None:
        data = load_data(config)
        assert 3 <= data.num_classes < 4096
        return
    with pytest.raises(TosmoothError) as caught:
        load_data(config)
    assert expected in str(caught.value)


def test_an_unknown_tokenizer_is_one_clear_sentence(tmp_path):
    config = load_config(raw_study(), [f"data.text.tokenizer={tmp_path / 'nowhere'}"])
    with pytest.raises(TosmoothError) as caught:
        load_data(config)
    text = str(caught.value)
    assert "nowhere" in text
    assert "tokenizer" in text
    assert len(text.splitlines()) == 1


def test_the_mean_of_epochs_is_the_last_not_the_best():
    raw = raw_study(student={"average_last": 2})
    assert load_config(raw).kept_epoch(validated=True) == "last"
    assert load_config(raw_study()).kept_epoch(validated=True) == "best"
    assert load_config(raw_study()).kept_epoch(validated=False) == "last"
    _, record = planned(load_config(raw), eta=2, budget=1.0)
    assert record["selection"] == "last"


def test_a_warm_up_longer_than_the_training_is_refused_before_work(tmp_path: Path, silent: StudyProgress):
    raw = raw_study(student={"schedule": {"name": "inverse_sqrt", "warmup_steps": 10_000}})
    with pytest.raises(ConfigError, match=r"student\.schedule\.warmup_steps: 10000 leaves nothing of the \d+ steps"):
        Context.join(load_config(raw), tmp_path, silent)


def test_batch_normalisation_cannot_be_averaged(tmp_path: Path, silent: StudyProgress):
    config = load_config("fashion-mnist", ["student.average_last=2", "data.limit_train=100", "data.limit_test=50"])
    with pytest.raises(ConfigError, match=r"student\.average_last: resnet8 has batch normalisation"):
        Context.join(config, tmp_path, silent)


def test_evaluate_refuses_weights_of_another_vocabulary(tmp_path: Path):
    config = load_config(raw_study())
    data = load_data(config)
    model = find_task("translation").new_model(config, data, config.student.model, 0)
    save_weights(model, tmp_path / "model.safetensors")
    other = load_config(raw_study(data={"source": "translation_sample", "limit_train": 80, "split_seed": 5}))
    load_data(other).vocabulary.save(tmp_path / "vocabulary")
    with pytest.raises(ModelError, match="was trained with another vocabulary"):
        evaluate_weights(config, tmp_path / "model.safetensors", "student", "test")
