"""Losses against class probabilities: by hand, and as the mean over labels that are drawn from them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tosmooth import DistillationLoss, distillation_loss
from tosmooth.losses.fused_linear import fused_linear_distillation
from tosmooth.losses.objectives import dkd, hinton
from tosmooth.losses.soft_targets import expected_loss
from tosmooth.training.forward import Hidden
from tosmooth.training.loss_functions import distillation_from, label_smoothing_loss

N, K = 6, 5


@pytest.fixture
def case() -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Student, teacher, labels of both images of each pair, and mixed targets."""
    generator = torch.Generator().manual_seed(0)
    student, teacher = (3 * torch.randn(N, K, generator=generator, dtype=torch.float64) for _ in range(2))
    one, other = torch.arange(N) % K, (torch.arange(N) * 2 + 1) % K  # the same label in some pairs
    mixed = 0.7 * F.one_hot(one, K) + 0.3 * F.one_hot(other, K)
    return student.requires_grad_(), teacher, one, other, mixed.to(torch.float64)


def test_cross_entropy_against_mixed_and_smoothed_labels_by_hand():
    # q = (1/2, 1/4, 1/4), targets (3/4, 1/4, 0), α = 0.3: 0.7 · targets + 0.1 = (0.625, 0.275, 0.1).
    logits, targets = torch.tensor([[0.5, 0.25, 0.25]]).log(), torch.tensor([[0.75, 0.25, 0.0]])
    expected = 0.625 * math.log(2) + 0.375 * math.log(4)
    assert label_smoothing_loss(0.3)(logits, targets, {}).item() == pytest.approx(expected, rel=1e-5)
    hard = distillation_loss(logits, logits, 2.0, targets=targets, hard_weight=0.4, label_smoothing=0.3)
    assert hard.item() == pytest.approx(0.4 * expected, rel=1e-5)  # a student equal to its teacher has KL 0
    half = distillation_loss(logits.bfloat16(), logits.bfloat16(), 2.0, targets=targets, hard_weight=1.0)
    assert half.dtype == torch.float32


def test_dkd_of_a_mixed_target_by_hand():
    # As in test_objectives: for label 0 the terms are those below. Label 1: teacher (1/4, 3/4) and (2/3, 1/3) of the
    # others, student (1/2, 1/2) and (1/2, 1/2).
    teacher, student = (torch.tensor([p]).log() for p in ([0.5, 0.25, 0.25], [0.25, 0.5, 0.25]))
    first = [0.5 * math.log(2) + 0.5 * math.log(2 / 3), 0.5 * math.log(3 / 4) + 0.5 * math.log(3 / 2)]
    second = [0.25 * math.log(1 / 2) + 0.75 * math.log(3 / 2), 2 / 3 * math.log(4 / 3) + 1 / 3 * math.log(2 / 3)]
    expected = 0.8 * (first[0] + 8 * first[1]) + 0.2 * (second[0] + 8 * second[1])
    mixed = torch.tensor([[0.8, 0.2, 0.0]])
    assert distillation_loss(student, teacher, 1.0, objective="dkd", targets=mixed).item() == pytest.approx(
        expected, rel=1e-5
    )


@pytest.mark.parametrize("objective", ["dkd", "hinton", "logit_standard", "teacher_only"])
@pytest.mark.parametrize("weight", [0.0, 0.4])
def test_the_loss_is_the_mean_over_both_labels(case, objective, weight):
    """λ · loss(label of one) + (1 − λ) · loss(label of the other), in value and gradient, for every objective."""
    student, teacher, one, other, mixed = case
    loss = DistillationLoss(3.0, objective=objective, hard_weight=weight, label_smoothing=0.1)
    found, expected = loss(student, teacher, mixed), 0.7 * loss(student, teacher, one)
    expected = expected + 0.3 * loss(student, teacher, other)
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad(value, student)[0] for value in (found, expected)]
    torch.testing.assert_close(*gradients)
    # And as a student of a study has it, whose images have two labels at most.
    of_study = distillation_from("it", 3.0, objective, weight, label_smoothing=0.1)
    torch.testing.assert_close(of_study(student, mixed, {"it": teacher}), expected)


@pytest.mark.parametrize("objective", ["dkd", "hinton"])
def test_one_hot_probabilities_are_labels(case, objective):
    student, teacher, one, *_ = case
    settings = {"objective": objective, "hard_weight": 0.3, "label_smoothing": 0.1}
    probabilities = F.one_hot(one, K).to(torch.float64)
    for reduction in ("mean", "sum", "none"):
        torch.testing.assert_close(
            distillation_loss(student, teacher, 2.0, targets=probabilities, reduction=reduction, **settings),
            distillation_loss(student, teacher, 2.0, targets=one, reduction=reduction, **settings),
        )


def test_dkd_with_the_teachers_own_weights_is_hinton_whatever_is_mixed(case):
    student, teacher, _, _, mixed = case
    p = (teacher / 2.0).softmax(1)

    def loss_of(labels: Tensor) -> Tensor:
        return dkd(student, teacher, 2.0, labels, alpha=1.0, beta=1 - p.gather(1, labels[:, None])[:, 0])

    torch.testing.assert_close(expected_loss(loss_of, mixed), hinton(student, teacher, 2.0, None))


def test_more_labels_than_two_and_sequences(case):
    student, teacher, *_ = case
    spread = torch.full((N, K), 1 / K, dtype=torch.float64)
    expected = sum(
        distillation_loss(student, teacher, 2.0, objective="dkd", targets=torch.full((N,), label)) / K
        for label in range(K)
    )
    found = distillation_loss(student, teacher, 2.0, objective="dkd", targets=spread)
    torch.testing.assert_close(found, expected)
    rows = [part.reshape(2, 3, K) for part in (student, teacher, spread)]
    per_row = distillation_loss(*rows[:2], 2.0, objective="dkd", targets=rows[2], reduction="none")
    assert per_row.shape == (2, 3)
    torch.testing.assert_close(per_row.mean(), found)
    empty = torch.zeros(0, K, requires_grad=True)
    distillation_loss(empty, empty, 2.0, objective="dkd", targets=torch.zeros(0, K)).backward()


def test_a_class_that_is_no_label_adds_nothing_however_wrong():
    rows = expected_loss(lambda labels: torch.where(labels == 1, math.inf, 2.0), torch.tensor([[1.0, 0.0]]), labels=2)
    assert rows.tolist() == [2.0]


def test_an_objective_that_needs_no_labels_is_handed_none(case):
    seen = []

    def sees(student, teacher, temperature, targets):
        seen.append(targets)
        return (student - teacher).square().mean(-1)

    student, teacher, one, _, mixed = case
    distillation_loss(student, teacher, 1.0, objective=sees, targets=mixed)
    distillation_loss(student, teacher, 1.0, objective=sees, targets=one)
    assert seen[0] is None
    assert torch.equal(seen[1], one)


@pytest.mark.parametrize(
    "targets", [torch.zeros(N, K + 1), torch.zeros(N), torch.zeros(N, K, dtype=torch.long), torch.zeros(N, K).bool()]
)
def test_targets_of_another_shape_or_type_are_refused(case, targets):
    student, teacher, *_ = case
    with pytest.raises(ValueError, match=r"class indices .* of shape \(6,\), or class probabilities of shape"):
        distillation_loss(student, teacher, 1.0, targets=targets)


def test_the_fused_loss_says_who_takes_probabilities_and_its_students_make_logits(case):
    _, _, _, _, mixed = case
    generator = torch.Generator().manual_seed(1)
    hidden, taught = (torch.randn(N, 3, generator=generator) for _ in range(2))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = nn.Linear(3, K), nn.Linear(3, K)
    with pytest.raises(ValueError, match="distillation_loss takes class probabilities"):
        fused_linear_distillation(hidden, layers[0].weight, taught, layers[1].weight, 2.0, targets=mixed)
    for objective in ("hinton", "dkd"):
        loss = distillation_from("it", 2.0, objective, 0.3)
        answers = Hidden(hidden, layers[0]), Hidden(taught, layers[1])
        logits = layers[0](hidden), layers[1](taught)
        torch.testing.assert_close(
            loss(answers[0], mixed, {"it": answers[1]}), loss(logits[0], mixed, {"it": logits[1]})
        )


def test_a_class_without_weight_may_have_an_infinite_loss() -> None:
    """As −log p has it, where both images of a pair have one label: neither value nor gradient sees it."""
    logits = torch.tensor([[2.0, -300.0, 0.0]], requires_grad=True)
    probabilities = torch.tensor([[1.0, 0.0, 0.0]])

    def loss_of(labels: Tensor) -> Tensor:
        return -logits.softmax(1).gather(1, labels[:, None])[:, 0].log()

    rows = expected_loss(loss_of, probabilities, labels=2)
    rows.sum().backward()
    assert torch.allclose(rows, torch.nn.functional.cross_entropy(logits, probabilities, reduction="none"))
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
