from __future__ import annotations

import copy
from typing import Any

import pytest
import timm
import torch
from timm.task import LogitDistillationTask as TimmLogitTask
from timm.task import TokenDistillationTask as TimmTokenTask
from torch import Tensor, nn

import tosmooth
from tests.integrations.models import images, moved, weights
from tosmooth.errors import ModelError
from tosmooth.integrations.timm import LogitDistillationTask, TokenDistillationTask

WEIGHTS: list[dict[str, Any]] = [{}, {"task_loss_weight": 0.3}, {"distill_loss_weight": 0.7}, {"task_loss_weight": 0.0}]


def model(seed: int, classes: int = 10, **settings: Any) -> nn.Module:
    torch.manual_seed(seed)
    return timm.create_model("test_vit", num_classes=classes, img_size=32, **settings)


def distilled(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return timm.create_model(
        "deit_tiny_distilled_patch16_224", num_classes=10, img_size=32, embed_dim=24, depth=1, num_heads=2
    )


def batch(start: int, stop: int) -> tuple[Tensor, Tensor]:
    pixels, labels = images(start, stop)
    return nn.functional.pad(pixels, (2, 2, 2, 2)).repeat(1, 3, 1, 1), labels


def teacher_logits(task: Any, pixels: Tensor) -> Tensor:
    with torch.no_grad():
        return task.teacher.model(task.teacher.normalize_input(pixels, task.student_mean, task.student_std))


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("settings", WEIGHTS, ids=str)
def test_a_drop_in_for_both_tasks_of_timm_to_the_gradient(temperature: float, settings: dict[str, Any]) -> None:
    """timm's own loss is hinton's with T²; every way to weigh it must come out the same."""
    pixels, labels = batch(0, 16)
    other_normalisation = model(1)
    other_normalisation.pretrained_cfg = {**other_normalisation.pretrained_cfg, "mean": (0.1, 0.2, 0.3)}
    for ours, theirs, student in (
        (LogitDistillationTask, TimmLogitTask, model(0)),
        (TokenDistillationTask, TimmTokenTask, distilled(0)),
    ):
        results = []
        for kind in (ours, theirs):
            own = copy.deepcopy(student)
            task = kind(
                own, other_normalisation, nn.CrossEntropyLoss(), temperature=temperature, verbose=False, **settings
            )
            found = task.train()(pixels, labels)
            found["loss"].backward()
            results.append((found, [parameter.grad for parameter in own.parameters()]))
        (mine, gradients), (reference, expected) = results
        assert mine.keys() == reference.keys()
        for name in reference:
            torch.testing.assert_close(mine[name], reference[name])
        for gradient, other in zip(gradients, expected, strict=True):
            torch.testing.assert_close(gradient, other, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize(
    "settings",
    [{"objective": "dkd", "objective_kwargs": {"beta": 2.0}}, {"objective": "logit_standard"}, {"topk": 3}],
    ids=str,
)
def test_other_objectives_train_the_student_alone(settings: dict[str, Any]) -> None:
    pixels, labels = batch(0, 16)
    student, teacher = model(0), model(1).train()
    before, taught = weights(student), weights(teacher)
    # By position, as timm allows: …, loss_type, distill_loss_weight, task_loss_weight, temperature.
    task = LogitDistillationTask(
        student, teacher, nn.CrossEntropyLoss(), None, None, None, "kl", 0.5, 0.5, 3.0, verbose=False, **settings
    )
    optimizer = torch.optim.SGD(task.get_trainable_module().parameters(), lr=0.1)
    task.train()
    assert not teacher.training
    found = task(pixels, labels)
    expected = tosmooth.distillation_loss(
        student(pixels), teacher_logits(task, pixels), 3.0, targets=labels, **settings
    )
    torch.testing.assert_close(found["kd_loss"], expected)
    torch.testing.assert_close(found["loss"], 0.5 * found["task_loss"] + 0.5 * expected)
    found["loss"].backward()
    optimizer.step()
    assert moved(before, student)
    assert not moved(taught, teacher)
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert task.get_checkpoint_state()["state_dict"].keys() == student.state_dict().keys()


def test_the_loss_is_computed_in_float32_under_autocast_and_follows_a_changed_temperature() -> None:
    pixels, labels = batch(0, 8)
    task = LogitDistillationTask(model(0), model(1), nn.CrossEntropyLoss(), temperature=2.0, verbose=False)
    with torch.autocast("cpu", torch.bfloat16):
        found = task(pixels, labels)
    assert found["output"].dtype == torch.bfloat16
    assert found["kd_loss"].dtype == torch.float32
    task.temperature = 1.0  # a schedule of the user's
    expected = tosmooth.distillation_loss(task.trainable_module(pixels), teacher_logits(task, pixels), 1.0)
    torch.testing.assert_close(task(pixels, labels)["kd_loss"], expected)


def test_mixed_targets_and_hard_token_distillation_go_on_working() -> None:
    pixels, labels = batch(0, 8)
    mixed = 0.6 * nn.functional.one_hot(labels, 10) + 0.4 * nn.functional.one_hot(labels.flip(0), 10)
    task = LogitDistillationTask(model(0), model(1), nn.CrossEntropyLoss(), temperature=2.0, verbose=False)
    expected = tosmooth.distillation_loss(task.trainable_module(pixels), teacher_logits(task, pixels), 2.0)
    torch.testing.assert_close(task(pixels, mixed)["kd_loss"], expected)
    dkd = LogitDistillationTask(model(0), model(1), nn.CrossEntropyLoss(), objective="dkd", verbose=False)
    with pytest.raises(ValueError, match="targets"):
        dkd(pixels, mixed)
    settings: dict[str, Any] = {"distill_type": "hard", "verbose": False}
    found = TokenDistillationTask(distilled(0), model(1), nn.CrossEntropyLoss(), **settings)(pixels, labels)
    reference = TimmTokenTask(distilled(0), model(1), nn.CrossEntropyLoss(), **settings)(pixels, labels)
    torch.testing.assert_close(found["loss"], reference["loss"])


@pytest.mark.parametrize(
    ("settings", "error", "reason"),
    [
        ({"temperature": 0.0}, ValueError, "temperature must be a finite number above 0"),
        ({"objective": "hintom"}, ValueError, "did you mean 'hinton'"),
        ({"topk": 0}, ValueError, "topk must be at least 1"),
        ({"teacher_model": "seven"}, ModelError, "the teacher tells 7 classes apart, the student 10"),
    ],
)
def test_mistakes_are_refused(settings: dict[str, Any], error: type[Exception], reason: str) -> None:
    given = {"teacher_model": model(1), "criterion": nn.CrossEntropyLoss(), "verbose": False, **settings}
    if given["teacher_model"] == "seven":
        given["teacher_model"] = model(1, classes=7)
    with pytest.raises(error, match=reason):
        LogitDistillationTask(model(0), **given)


def test_a_wrong_temperature_by_position_and_a_teacher_put_into_train_mode() -> None:
    with pytest.raises(ValueError, match="temperature must be"):
        LogitDistillationTask(model(0), model(1), nn.CrossEntropyLoss(), None, None, None, "kl", 1.0, 1.0, -2.0)
    task = LogitDistillationTask(model(0), model(1), nn.CrossEntropyLoss(), verbose=False)
    task.teacher.train()
    with pytest.raises(ModelError, match="the teacher is in train mode"):
        task(*batch(0, 4))
