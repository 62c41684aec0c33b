from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel, Seq2SeqTrainingArguments, Trainer, TrainingArguments

import tosmooth
from tests.integrations.models import images, marian, moved, resnet, sentences, stacked, vit, weights
from tosmooth.errors import ModelError
from tosmooth.integrations.tracking import TrainingTracker
from tosmooth.integrations.transformers import DiffusionCallback, DistillationTrainer, Seq2SeqDistillationTrainer


class Plain(nn.Module):
    """No model of the library's, and a forward that takes no further arguments."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.head = nn.Linear(784, 10)

    def forward(self, pixel_values: Tensor, labels: Tensor | None = None) -> Tensor:
        assert labels is None, "nobody asks for the student's own loss"
        return self.head(pixel_values.flatten(1))


def arguments(folder: Path, kind: Any = TrainingArguments, **settings: Any) -> Any:
    """One step with plain SGD unless said otherwise: the weights show the gradient."""
    defaults = {
        "max_steps": 1, "per_device_train_batch_size": 16, "learning_rate": 0.5, "optim": "sgd", "max_grad_norm": 0.0,
        "lr_scheduler_type": "constant", "logging_steps": 1, "save_strategy": "no", "report_to": [], "use_cpu": True,
        "disable_tqdm": True,
    }  # fmt: skip
    return kind(output_dir=str(folder), **{**defaults, **settings})


def rows(start: int, stop: int) -> list[dict[str, Tensor]]:
    return [{"pixel_values": image, "labels": label} for image, label in zip(*images(start, stop), strict=True)]


def logged(trainer: Any, name: str = "loss") -> float:
    return next(entry[name] for entry in trainer.state.log_history if name in entry)


HINTON = {"temperature": 2.0}
HARD = {"temperature": 4.0, "hard_weight": 0.3, "topk": 3}
DKD = {"temperature": 2.0, "objective": "dkd", "objective_kwargs": {"beta": 2.0}}


@pytest.mark.parametrize(
    ("build", "settings"),
    [
        pytest.param(resnet, HINTON, id="resnet"),
        pytest.param(resnet, HARD, id="resnet, hard labels and top-k", marks=pytest.mark.slow),
        pytest.param(vit, DKD, id="vit, dkd"),
        pytest.param(vit, HINTON, id="vit", marks=pytest.mark.slow),
        pytest.param(vit, HARD, id="vit, hard labels and top-k", marks=pytest.mark.slow),
        pytest.param(resnet, DKD, id="resnet, dkd", marks=pytest.mark.slow),
    ],
)
def test_classifiers_train_on_the_distillation_loss(tmp_path: Path, build: Any, settings: dict[str, Any]) -> None:
    student, teacher = build(0), build(1)
    before, taught, inputs = weights(student), weights(teacher), stacked(rows(0, 16))
    twin = copy.deepcopy(student).train()
    teacher.train()  # as it comes from its own training
    trainer = DistillationTrainer(
        model=student, args=arguments(tmp_path), train_dataset=rows(0, 16), teacher=teacher, **settings
    )
    trainer.train()
    with torch.no_grad():
        student_logits, teacher_logits = twin(inputs["pixel_values"]).logits, teacher(inputs["pixel_values"]).logits
    expected = tosmooth.distillation_loss(student_logits, teacher_logits, targets=inputs["labels"], **settings)
    assert logged(trainer) == pytest.approx(float(expected), rel=1e-5)
    assert moved(before, student)
    assert not moved(taught, teacher)
    assert not teacher.training
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_evaluation_gives_the_distillation_loss_and_what_metrics_need(tmp_path: Path) -> None:
    student, teacher, held_out = vit(0), vit(1), rows(16, 48)
    given = []
    trainer = DistillationTrainer(
        model=student, args=arguments(tmp_path, per_device_eval_batch_size=8), teacher=teacher, temperature=3.0,
        eval_dataset=held_out, compute_metrics=lambda p: given.append(p) or {},
    )  # fmt: skip
    found = trainer.evaluate()
    inputs = stacked(held_out)
    with torch.no_grad():
        logits, taught = student(inputs["pixel_values"]).logits, teacher(inputs["pixel_values"]).logits
    assert found["eval_loss"] == pytest.approx(float(tosmooth.distillation_loss(logits, taught, 3.0)), rel=1e-5)
    torch.testing.assert_close(torch.from_numpy(given[0].predictions), logits)
    assert given[0].label_ids.tolist() == inputs["labels"].tolist()


def test_a_plain_module_is_a_student_too_and_the_teacher_may_see_other_inputs(tmp_path: Path) -> None:
    student, teacher, held_out = Plain(0), vit(1), rows(0, 24)
    trainer = DistillationTrainer(
        model=student, args=arguments(tmp_path), teacher=teacher, temperature=1.0, eval_dataset=held_out,
        teacher_inputs=lambda given: {"pixel_values": 2 * given["pixel_values"] + 1},
    )  # fmt: skip
    found = trainer.predict(held_out)
    pixels = stacked(held_out)["pixel_values"]
    with torch.no_grad():
        expected = tosmooth.distillation_loss(student(pixels), teacher(2 * pixels + 1).logits, 1.0)
    assert found.predictions.shape == (24, 10), "no sample is lost"
    assert found.metrics["test_loss"] == pytest.approx(float(expected), rel=1e-5)


def test_what_is_saved_is_the_student_and_training_goes_on_from_it(tmp_path: Path) -> None:
    student, teacher = resnet(0), resnet(1)
    common: dict[str, Any] = {"train_dataset": rows(0, 32), "teacher": teacher, "temperature": 2.0}
    settings = arguments(tmp_path, max_steps=2, save_strategy="steps", save_steps=1)
    DistillationTrainer(model=student, args=settings, **common).train()
    saved = load_file(tmp_path / "checkpoint-2" / "model.safetensors")
    assert saved.keys() == student.state_dict().keys()
    assert not moved(weights(type(student).from_pretrained(tmp_path / "checkpoint-2")), student)
    again = resnet(5)
    DistillationTrainer(model=again, args=settings, **common).train(
        resume_from_checkpoint=str(tmp_path / "checkpoint-1")
    )
    for name, value in again.state_dict().items():
        torch.testing.assert_close(value, student.state_dict()[name])


@pytest.mark.parametrize(
    "build",
    [Plain, pytest.param(vit, marks=pytest.mark.slow)],
    ids=["no further arguments", "any further argument"],
)
@pytest.mark.slow
def test_accumulated_gradients_are_those_of_the_whole_step(tmp_path: Path, build: Any) -> None:
    """Six images, one of them without a label that counts, in batches of 4 and 2: the five others weigh alike."""
    data, results = rows(0, 6), []
    data[3]["labels"] = torch.tensor(-100)
    for batch, steps in ((6, 1), (4, 2)):
        student = build(0)
        trainer = DistillationTrainer(
            model=student, teacher=build(1), temperature=2.0, train_dataset=data,
            args=arguments(tmp_path, per_device_train_batch_size=batch, gradient_accumulation_steps=steps),
        )  # fmt: skip
        trainer.train()
        results.append((weights(student), logged(trainer)))
    (whole, loss), (parts, loss_of_parts) = results
    assert loss == pytest.approx(loss_of_parts, rel=1e-4)
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, atol=1e-6, rtol=1e-4)


def test_sentences_train_on_the_loss_of_their_tokens(tmp_path: Path) -> None:
    student, teacher, data = marian(0), marian(1, width=32), sentences(8)
    before, taught, twin, inputs = weights(student), weights(teacher), copy.deepcopy(student), stacked(data)
    trainer = Seq2SeqDistillationTrainer(
        model=student, teacher=teacher, temperature=2.0, hard_weight=0.2, topk=16, train_dataset=data,
        args=arguments(tmp_path, Seq2SeqTrainingArguments, per_device_train_batch_size=8, label_smoothing_factor=0.1),
    )  # fmt: skip
    trainer.train()
    with torch.no_grad():  # the library's own way to the decoder inputs: from labels
        student_logits, teacher_logits = twin(**inputs).logits, teacher(**inputs).logits
    kept = inputs["labels"] != -100
    expected = tosmooth.distillation_loss(
        student_logits[kept], teacher_logits[kept], 2.0, targets=inputs["labels"][kept], hard_weight=0.2, topk=16,
        label_smoothing=0.1,
    )  # fmt: skip
    assert logged(trainer) == pytest.approx(float(expected), rel=1e-5)
    assert moved(before, student)
    assert not moved(taught, teacher)


def test_every_token_of_an_accumulated_step_weighs_alike(tmp_path: Path) -> None:
    """Sentences of different length in two batches: a mean of the batches' means would be another gradient."""
    data, results = sentences(4), []
    for batch, steps in ((4, 1), (1, 4)):
        student = marian(0)
        trainer = Seq2SeqDistillationTrainer(
            model=student, teacher=marian(1), temperature=1.0, train_dataset=data,
            args=arguments(
                tmp_path, Seq2SeqTrainingArguments, per_device_train_batch_size=batch, gradient_accumulation_steps=steps
            ),
        )  # fmt: skip
        trainer.train()
        results.append(weights(student))
    for name, value in results[0].items():
        torch.testing.assert_close(results[1][name], value, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("generate", [False, True])
def test_eval_loss_of_sentences_is_the_same_with_and_without_generation(tmp_path: Path, generate: bool) -> None:
    student, teacher, data = marian(0), marian(1), sentences(4)
    settings = arguments(
        tmp_path, Seq2SeqTrainingArguments, per_device_eval_batch_size=4, predict_with_generate=generate,
        generation_max_length=28,
    )  # fmt: skip
    trainer = Seq2SeqDistillationTrainer(model=student, args=settings, teacher=teacher, temperature=2.0)
    found, inputs = trainer.predict(data), stacked(data)
    with torch.no_grad():
        logits, taught = student(**inputs).logits, teacher(**inputs).logits
    expected = tosmooth.distillation_loss(logits, taught, 2.0, targets=inputs["labels"])
    assert found.metrics["test_loss"] == pytest.approx(float(expected), rel=1e-5)


def test_rows_of_causal_language_models_stand_beside_the_next_label(tmp_path: Path) -> None:
    config = GPT2Config(vocab_size=50, n_positions=16, n_embd=16, n_layer=1, n_head=2)
    torch.manual_seed(0)
    student, teacher = GPT2LMHeadModel(config).eval(), GPT2LMHeadModel(config)
    ids = torch.randint(50, (2, 8))
    labels = ids.masked_fill(torch.arange(8) < 3, -100)
    trainer = DistillationTrainer(
        model=student, args=arguments(tmp_path), teacher=teacher, temperature=2.0, hard_weight=0.5
    )
    items = trainer._get_num_items_in_batch([{"labels": labels}], torch.device("cpu"))
    for count in (items, None):
        loss = trainer.compute_loss(student, {"input_ids": ids, "labels": labels}, num_items_in_batch=count)
        logits, taught = student(ids).logits[:, 2:-1], teacher(ids).logits[:, 2:-1]  # they predict tokens 3 to 7
        expected = tosmooth.distillation_loss(logits, taught, 2.0, targets=labels[:, 3:], hard_weight=0.5)
        torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("across", [True, False])
def test_the_count_of_several_devices_of_one_process(tmp_path: Path, across: bool) -> None:
    """DataParallel hands over the outputs of all devices, and the library's count of them in its own form."""
    student, teacher = vit(0), vit(1)
    settings = arguments(tmp_path, average_tokens_across_devices=across)
    trainer = DistillationTrainer(model=student, args=settings, teacher=teacher, temperature=2.0)
    inputs = stacked(rows(0, 16))
    settings._n_gpu = 2
    count = trainer._get_num_items_in_batch([inputs], torch.device("cpu"))
    loss = trainer.compute_loss(student, inputs, num_items_in_batch=count)
    logits, taught = student(inputs["pixel_values"]).logits, teacher(inputs["pixel_values"]).logits
    torch.testing.assert_close(loss, tosmooth.distillation_loss(logits, taught, 2.0))


def test_images_without_labels_and_half_precision_activations(tmp_path: Path) -> None:
    student, teacher = vit(0), vit(1)
    data = [{"pixel_values": row["pixel_values"]} for row in rows(0, 8)]
    before = weights(student)
    settings = arguments(tmp_path, per_device_train_batch_size=4, gradient_accumulation_steps=2, bf16=True)
    trainer = DistillationTrainer(model=student, args=settings, teacher=teacher, temperature=2.0, train_dataset=data)
    with torch.no_grad():
        pixels = stacked(data)["pixel_values"]
        expected = tosmooth.distillation_loss(vit(0)(pixels).logits, teacher(pixels).logits, 2.0)
    trainer.train()
    assert logged(trainer) == pytest.approx(float(expected), rel=0.05)
    assert moved(before, student)


def test_the_callback_tracks_evaluations_of_any_trainer(tmp_path: Path) -> None:
    student, held_out = resnet(0), rows(64, 192)
    pixels, labels = images(64, 192)
    with tosmooth.PenultimateFeatures(resnet(1).eval(), 10) as features_of, torch.no_grad():
        reference = tosmooth.ClassCentroids(10, 8)
        reference.update(features_of(pixels)[1], labels)
    similar, dissimilar = tosmooth.similar_classes(reference, m=2)
    callback = DiffusionCallback(TrainingTracker(10, similar, dissimilar, reference=reference))
    trainer = Trainer(
        model=student, args=arguments(tmp_path, eval_strategy="steps", eval_steps=1), train_dataset=rows(0, 16),
        eval_dataset=held_out, callbacks=[callback],
    )  # fmt: skip
    trainer.train()
    found = trainer.evaluate()
    expected = TrainingTracker(10, similar, dissimilar, reference=reference)
    with tosmooth.PenultimateFeatures(student.eval(), 10) as features_of, torch.no_grad():
        expected.update(*features_of(pixels), labels)
    assert len(callback.history) == 2
    for name, value in expected.compute().items():
        assert found[f"eval_{name}"] == pytest.approx(value, rel=1e-4, abs=1e-6)
        assert logged(trainer, f"eval_{name}") == pytest.approx(value, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(
    ("settings", "error", "reason"),
    [
        ({"temperature": 0.0}, ValueError, "temperature must be a finite number above 0"),
        ({"temperature": -1.0}, ValueError, "temperature must be a finite number above 0"),
        ({"objective": "hintom"}, ValueError, "did you mean 'hinton'"),
        ({"hard_weight": 2}, ValueError, "hard_weight must be in"),
        ({"topk": 3, "objective": "dkd"}, ValueError, "needs all of the teacher's logits"),
        ({"compute_loss_func": print}, ValueError, "compute_loss_func would not be called"),
        ({"teacher": "resnet50"}, ModelError, "must be an nn.Module, got str"),
        ({"teacher": vit(1, classes=7)}, ModelError, "the teacher tells 7 classes apart, the student 10"),
    ],
)
def test_mistakes_are_refused_before_any_work(
    tmp_path: Path, settings: dict[str, Any], error: type[Exception], reason: str
) -> None:
    given = {"teacher": vit(1), "temperature": 2.0, **settings}
    with pytest.raises(error, match=reason):
        DistillationTrainer(model=vit(0), args=arguments(tmp_path), **given)


def test_mistakes_that_show_in_what_is_given(tmp_path: Path) -> None:
    student = vit(0)
    with pytest.raises(ModelError, match="are one model: the teacher would be trained"):
        DistillationTrainer(model=student, args=arguments(tmp_path), teacher=student, temperature=2.0)
    with pytest.raises(ValueError, match=r"label_smoothing_factor = 0\.1 smooths the hard labels, and hard_weight = 0"):
        DistillationTrainer(
            model=student, args=arguments(tmp_path, label_smoothing_factor=0.1), teacher=vit(1), temperature=2.0
        )
    inputs = stacked(rows(0, 4))
    trainer = DistillationTrainer(model=student, args=arguments(tmp_path), teacher=vit(1), temperature=2.0)
    trainer.teacher.model.train()
    with pytest.raises(ModelError, match="the teacher is in train mode"):
        trainer.compute_loss(student, inputs)
    longer = Seq2SeqDistillationTrainer(
        model=marian(0),
        args=arguments(tmp_path, Seq2SeqTrainingArguments),
        teacher=_other_vocabulary(),
        temperature=2.0,
    )
    with pytest.raises(ModelError, match="the same tokens"):
        longer.compute_loss(longer.model, stacked(sentences(2)))


def _other_vocabulary() -> nn.Module:
    model = marian(1)
    model.resize_token_embeddings(model.config.vocab_size + 5)
    return model
