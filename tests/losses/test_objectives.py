from __future__ import annotations

import math

import pytest
import torch

from tosmooth import DistillationLoss, distillation_loss
from tosmooth.losses.objectives import dkd, find_objective, hinton, logit_standard, objectives, teacher_only


def test_names_are_found_and_a_callable_is_itself():
    assert {"dkd", "hinton", "logit_standard", "teacher_only"} <= set(objectives())
    assert find_objective("teacher_only").function is teacher_only
    assert find_objective(hinton).function is hinton
    with pytest.raises(ValueError, match="did you mean 'teacher_only'"):
        find_objective("teacher-only")


def test_rows_by_hand_with_a_temperature_each():
    # Softened by (1, 2), the teachers ln 3 and 2 ln 3 are both (3/4, 1/4); the student is uniform at any temperature.
    teacher = torch.tensor([[math.log(3), 0.0], [2 * math.log(3), 0.0]])
    temperature = torch.tensor([[1.0], [2.0]])
    kl = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert hinton(torch.zeros(2, 2), teacher, temperature, None).tolist() == pytest.approx([kl, 4 * kl], rel=1e-5)
    assert teacher_only(torch.zeros(2, 2), teacher, temperature, None).tolist() == pytest.approx([kl, kl], rel=1e-5)


def test_only_the_teacher_is_softened_by_teacher_only():
    # Teacher uniform at any temperature; student (ln 3, 0): KL = 1/2 ln(2/3) + 1/2 ln 2, whatever T.
    student = torch.tensor([[math.log(3), 0.0]])
    expected = 0.5 * math.log(2 / 3) + 0.5 * math.log(2)
    for temperature in (1.0, 5.0):
        assert teacher_only(student, torch.zeros(1, 2), temperature, None).item() == pytest.approx(expected, rel=1e-5)


def _logits(rows: int = 7, classes: int = 5, scale: float = 3.0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    student, teacher = (scale * torch.randn(rows, classes, generator=generator, dtype=torch.float64) for _ in range(2))
    return student.requires_grad_(), teacher, torch.arange(rows) % classes


def test_dkd_by_hand():
    # Target 0. Teacher (1/2, 1/4, 1/4): (1/2, 1/2) and (1/2, 1/2). Student (1/4, 1/2, 1/4): (1/4, 3/4) and (2/3, 1/3).
    teacher, student = (torch.tensor([p]).log() for p in ([0.5, 0.25, 0.25], [0.25, 0.5, 0.25]))
    target = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    others = 0.5 * math.log(0.5 / (2 / 3)) + 0.5 * math.log(0.5 / (1 / 3))
    labels = torch.tensor([0])
    assert dkd(student, teacher, 1.0, labels, alpha=1, beta=0).item() == pytest.approx(target, rel=1e-5)
    assert dkd(student, teacher, 1.0, labels, alpha=0, beta=1).item() == pytest.approx(others, rel=1e-5)
    assert dkd(student, teacher, 1.0, labels).item() == pytest.approx(target + 8 * others, rel=1e-5)
    # Twice the logits at T = 2 are the same distributions, with T² = 4.
    assert dkd(2 * student, 2 * teacher, 2.0, labels).item() == pytest.approx(4 * (target + 8 * others), rel=1e-5)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 64.0])
def test_dkd_with_the_teachers_own_weight_is_hinton(temperature):
    student, teacher, targets = _logits()
    beta = 1 - (teacher / temperature).softmax(1).gather(1, targets[:, None])[:, 0]
    found = dkd(student, teacher, temperature, targets, alpha=1.0, beta=beta)
    torch.testing.assert_close(found, hinton(student, teacher, temperature, targets))
    gradients = [
        torch.autograd.grad(rows.sum(), student)[0] for rows in (found, hinton(student, teacher, temperature, None))
    ]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("objective", ["dkd", "hinton", "logit_standard"])
def test_the_gradients_size_survives_a_high_temperature(objective):
    """T²: for large T the gradient tends to a limit that is not 0."""
    gradients = []
    for temperature in (1e3, 1e4):
        student, teacher, targets = _logits()
        distillation_loss(student, teacher, temperature, objective=objective, targets=targets).backward()
        gradients.append(student.grad)
    torch.testing.assert_close(*gradients, rtol=1e-2, atol=1e-5)
    assert gradients[0].abs().max() > 1e-3


@pytest.mark.parametrize("objective", [dkd, hinton])
def test_only_the_ratio_of_logits_and_temperature_counts_beside_t_squared(objective):
    student, teacher, targets = _logits()
    torch.testing.assert_close(
        objective(6 * student, 6 * teacher, 12.0, targets), 36 * objective(student, teacher, 2.0, targets)
    )


def test_logit_standard_by_hand():
    # (0, 2) has mean 1 and, with one degree of freedom removed, std √2: z = ∓1/√2. The student (5, 1) has z = ±1/√2.
    z = 1 / math.sqrt(2)
    teacher, student = torch.tensor([[0.0, 2.0]]), torch.tensor([[5.0, 1.0]])
    expected = hinton(torch.tensor([[z, -z]]), torch.tensor([[-z, z]]), 2.0, None)
    assert logit_standard(student, teacher, 2.0, None).item() == pytest.approx(expected.item(), rel=1e-5)


def test_logit_standard_sees_neither_the_size_nor_the_level_of_either_sides_logits():
    student, teacher, _ = _logits()
    plain = logit_standard(student, teacher, 3.0, None)
    torch.testing.assert_close(logit_standard(0.2 * student + 7, 30 * teacher - 4, 3.0, None), plain)
    assert (plain > 0.01).all()
    torch.testing.assert_close(logit_standard(5 * teacher, teacher, 3.0, None), torch.zeros_like(plain))


@pytest.mark.parametrize("objective", ["dkd", "logit_standard"])
def test_gradients_of_the_newer_objectives(objective):
    student, teacher, targets = _logits()
    targets[3] = -100

    def loss(values: torch.Tensor) -> torch.Tensor:
        return distillation_loss(
            values, teacher, 2.5, objective=objective, targets=targets, hard_weight=0.4, label_smoothing=0.2
        )

    assert torch.autograd.gradcheck(loss, (student,))
    teacher.requires_grad_()
    loss(student).backward()
    assert teacher.grad is None
    assert (student.grad[3] == 0).all()


@pytest.mark.parametrize("objective", ["dkd", "logit_standard"])
def test_a_perfect_student_of_the_newer_objectives_has_nothing_to_learn(objective):
    _, teacher, targets = _logits()
    student = teacher.clone().requires_grad_()
    loss = distillation_loss(student, teacher, 3.0, objective=objective, targets=targets)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-12)
    assert student.grad.abs().max() < 1e-12


@pytest.mark.parametrize("objective", ["dkd", "logit_standard"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_and_sure_teachers_stay_finite(objective, dtype):
    generator = torch.Generator().manual_seed(1)
    student, teacher = (300 * torch.randn(2, 6, 9, generator=generator) for _ in range(2))
    student, targets = student.to(dtype).requires_grad_(), torch.arange(12).reshape(2, 6) % 9
    targets[0, 1] = -100
    loss = distillation_loss(student, teacher.to(dtype), 0.5, objective=objective, targets=targets)
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.isfinite()
    assert student.grad.isfinite().all()
    # What the ignored token holds matters to nobody, NaN included.
    spoilt = teacher.clone()
    spoilt[0, 1] = math.nan
    again = distillation_loss(student, spoilt.to(dtype), 0.5, objective=objective, targets=targets)
    assert again.item() == loss.item()


def test_the_module_passes_options_on():
    student, teacher, targets = _logits()
    module = DistillationLoss(2.0, objective="dkd", objective_kwargs={"alpha": 0.5, "beta": 2.0})
    torch.testing.assert_close(
        module(student, teacher, targets), dkd(student, teacher, 2.0, targets, alpha=0.5, beta=2.0).mean()
    )


@pytest.mark.parametrize("objective", ["dkd", logit_standard])
def test_top_k_is_refused_where_it_means_nothing(objective):
    student, teacher, targets = _logits()
    with pytest.raises(ValueError, match=r"needs all of the teacher's logits, not topk = 2; with it: .*hinton"):
        distillation_loss(student, teacher, 2.0, objective=objective, targets=targets, topk=2)
    with pytest.raises(ValueError, match="topk = 2"):
        DistillationLoss(2.0, objective=objective, topk=2)


@pytest.mark.parametrize(
    ("options", "reason"),
    [({"alpha": -1.0}, "alpha must be"), ({"beta": math.inf}, "beta must be"), ({"beta": math.nan}, "beta must be")],
)
def test_weights_that_cannot_be_right_are_refused(options, reason):
    student, teacher, targets = _logits()
    with pytest.raises(ValueError, match=reason):
        dkd(student, teacher, 2.0, targets, **options)
    with pytest.raises(ValueError, match="needs targets"):
        distillation_loss(student, teacher, 2.0, objective="dkd")
