from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from tosmooth import DistillationLoss, distillation_loss
from tosmooth.losses.distillation import objectives, register_objective


@pytest.fixture
def logits() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(7, 5, generator=generator, dtype=torch.float64) * 3 for _ in range(2))
    return student.requires_grad_(), teacher, torch.tensor([0, 1, 2, 3, 4, 0, 1])


def test_hand_worked_value():
    # Teacher (ln 3, 0): p = (3/4, 1/4). Student (0, 0): q = (1/2, 1/2). KL = 3/4 ln 3/2 + 1/4 ln 1/2.
    teacher, student = torch.tensor([[math.log(3), 0.0]]), torch.zeros(1, 2)
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert distillation_loss(student, teacher, 1.0).item() == pytest.approx(expected, rel=1e-6)
    # At T = 2 the teacher (2 ln 3, 0) is the same softened distribution, and the loss carries T² = 4.
    assert distillation_loss(student, 2 * teacher, 2.0).item() == pytest.approx(4 * expected, rel=1e-6)
    assert distillation_loss(student, 2 * teacher, 2.0, objective="teacher_only").item() == pytest.approx(
        expected, rel=1e-6
    )


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0, 64.0])
def test_hinton_equals_pytorchs_kl_div_times_t_squared(logits, temperature):
    student, teacher, _ = logits
    expected = temperature**2 * F.kl_div(
        F.log_softmax(student / temperature, 1), F.softmax(teacher / temperature, 1), reduction="batchmean"
    )
    torch.testing.assert_close(distillation_loss(student, teacher, temperature), expected)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("topk", [None, 3])
def test_t_squared_stands_on_every_path(logits, temperature, weight, topk):
    student, teacher, targets = logits
    soft = F.softmax((teacher if topk is None else _cut(teacher, topk)) / temperature, 1)
    log_student = F.log_softmax(student / temperature, 1)
    kl = (torch.special.xlogy(soft, soft) - soft * log_student).sum(1).mean()
    hard = F.cross_entropy(student, targets, label_smoothing=0.1)
    found = distillation_loss(
        student, teacher, temperature, targets=targets, hard_weight=weight, label_smoothing=0.1, topk=topk
    )
    torch.testing.assert_close(found, (1 - weight) * temperature**2 * kl + weight * hard)


def _cut(teacher: torch.Tensor, k: int) -> torch.Tensor:
    threshold = teacher.sort(1, descending=True).values[:, k - 1 : k]
    return teacher.masked_fill(teacher < threshold, -math.inf)


@pytest.mark.parametrize("objective", ["hinton", "teacher_only"])
@pytest.mark.parametrize("topk", [None, 2])
def test_gradients(logits, objective, topk):
    student, teacher, targets = logits

    def loss(values: torch.Tensor) -> torch.Tensor:
        return distillation_loss(
            values, teacher, 2.5, objective=objective, targets=targets, hard_weight=0.4, label_smoothing=0.2, topk=topk
        )

    assert torch.autograd.gradcheck(loss, (student,))


def test_a_perfect_student_has_loss_and_gradient_zero(logits):
    _, teacher, _ = logits
    student = teacher.clone().requires_grad_()
    loss = distillation_loss(student, teacher, 3.0)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-12)
    assert student.grad.abs().max() < 1e-12


def test_the_teacher_gets_no_gradient(logits):
    student, teacher, _ = logits
    teacher.requires_grad_()
    distillation_loss(student, teacher, 2.0).backward()
    assert teacher.grad is None
    assert student.grad is not None


def test_the_gradient_at_high_temperature_tends_to_that_of_matched_logits(logits):
    """T² keeps the gradient's size: for large T it is (z_s − z_t − their means) / (N·K) (Hinton et al. 2015, eq. 4)."""
    student, teacher, _ = logits
    distillation_loss(student, teacher, 1e5).backward()
    gap = (student - teacher).detach()
    expected = (gap - gap.mean(1, keepdim=True)) / gap.numel()
    torch.testing.assert_close(student.grad, expected, rtol=1e-3, atol=1e-6)


def test_padding_is_left_out_whatever_it_holds(logits):
    student, teacher, targets = logits
    mask = torch.tensor([True, False, True, True, False, True, True])
    padded = targets.masked_fill(~mask, -100)
    dirty_student = student.detach().clone()
    dirty_student[~mask] = math.nan
    dirty_student.requires_grad_()
    settings = {"targets": padded, "hard_weight": 0.5, "label_smoothing": 0.1}
    found = distillation_loss(dirty_student, teacher, 2.0, **settings)
    expected = distillation_loss(student[mask], teacher[mask], 2.0, **settings | {"targets": targets[mask]})
    torch.testing.assert_close(found, expected)
    found.backward()
    assert torch.isfinite(dirty_student.grad[mask]).all()
    assert (dirty_student.grad[~mask] == 0).all()
    rows = distillation_loss(student, teacher, 2.0, **settings, reduction="none")
    assert (rows[~mask] == 0).all()


@pytest.mark.parametrize("targets", [None, torch.full((4,), -100)])
def test_an_empty_batch_gives_zero_with_a_graph(targets):
    count = 0 if targets is None else 4
    student = torch.randn(count, 3, requires_grad=True)
    loss = distillation_loss(student, torch.randn(count, 3), 2.0, targets=targets)
    assert loss.item() == 0
    loss.backward()
    assert (student.grad == 0).all()


def test_sequences_and_a_temperature_per_row(logits):
    student, teacher, targets = logits
    shape = (1, 7, 5)
    temperatures = torch.linspace(0.5, 4, 7)
    rows = distillation_loss(
        student.reshape(shape), teacher.reshape(shape), temperatures[None], targets=targets[None], reduction="none"
    )
    assert rows.shape == (1, 7)
    for i in range(7):
        alone = distillation_loss(student[i : i + 1], teacher[i : i + 1], float(temperatures[i]))
        torch.testing.assert_close(rows[0, i], alone)


def test_half_precision_is_computed_in_float32():
    student, teacher = torch.randn(4, 6).bfloat16(), torch.randn(4, 6).bfloat16()
    found = distillation_loss(student, teacher, 2.0)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, distillation_loss(student.float(), teacher.float(), 2.0))


def test_the_module_is_the_function(logits):
    student, teacher, targets = logits
    module = DistillationLoss(3.0, hard_weight=0.2, topk=4)
    torch.testing.assert_close(
        module(student, teacher, targets),
        distillation_loss(student, teacher, 3.0, targets=targets, hard_weight=0.2, topk=4),
    )
    assert "temperature=3.0" in repr(module)


def test_a_users_objective_by_name_and_as_a_callable(logits):
    student, teacher, _ = logits

    def squared(student_logits, teacher_logits, temperature, targets, *, scale=1.0):
        return scale * (student_logits - teacher_logits).square().sum(1)

    register_objective("squared-test")(squared)
    assert "squared-test" in objectives()
    expected = 2 * (student - teacher).square().sum(1).mean()
    for objective in ("squared-test", squared):
        torch.testing.assert_close(
            distillation_loss(student, teacher, 1.0, objective=objective, objective_kwargs={"scale": 2.0}), expected
        )
    with pytest.raises(ValueError, match="registered already"):
        register_objective("hinton")(squared)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"temperature": 0.0}, "above 0"),
        ({"temperature": -1.0}, "above 0"),
        ({"temperature": math.inf}, "finite"),
        ({"temperature": torch.tensor([1.0, 0.0])}, "above 0"),
        ({"temperature": torch.ones(3)}, "shape"),
        ({"hard_weight": 1.5}, "hard_weight"),
        ({"hard_weight": 0.5}, "needs targets"),
        ({"label_smoothing": 1.0}, "label_smoothing"),
        ({"topk": 0}, "topk"),
        ({"topk": 6}, "topk"),
        ({"objective": "hintom"}, "did you mean 'hinton'"),
        ({"reduction": "batchmean"}, "reduction"),
        ({"targets": torch.zeros(3, dtype=torch.int64)}, "targets"),
        ({"teacher_logits": torch.zeros(2, 4)}, "same shape"),
        ({"targets": torch.tensor([0, -1])}, r"target -1 is outside the 5 classes \(0 to 4\); .* ignore_index = -100"),
        ({"targets": torch.tensor([-100, 5])}, "target 5 is outside the 5 classes"),
        ({"teacher_logits": torch.full((2, 5), -math.inf), "objective": "logit_standard"}, "needs finite teacher"),
    ],
)
def test_wrong_arguments(change, reason):
    arguments = {"student_logits": torch.zeros(2, 5), "teacher_logits": torch.zeros(2, 5), "temperature": 1.0} | change
    with pytest.raises(ValueError, match=reason):
        distillation_loss(**arguments)


def test_topk_by_hand():
    # The teacher's two likeliest of (2 ln 2, ln 2, 0) are p = (2/3, 1/3); the student is uniform over all three.
    teacher = torch.tensor([[2 * math.log(2), math.log(2), 0.0]])
    expected = 2 / 3 * math.log(2 / 3 * 3) + 1 / 3 * math.log(1 / 3 * 3)
    assert distillation_loss(torch.zeros(1, 3), teacher, 1.0, topk=2).item() == pytest.approx(expected, rel=1e-6)


def test_the_objectives_coincide_at_temperature_one(logits):
    student, teacher, _ = logits
    torch.testing.assert_close(
        distillation_loss(student, teacher, 1.0, objective="teacher_only"), distillation_loss(student, teacher, 1.0)
    )


def test_the_mean_is_over_the_tokens_that_count(logits):
    student, teacher, _ = logits
    targets = torch.tensor([[1, 0, 9, 9, 9, 2, 9]])  # 9 is the padding of this vocabulary
    settings = {"targets": targets, "ignore_index": 9}
    shape = (1, 7, 5)
    rows = distillation_loss(student.reshape(shape), teacher.reshape(shape), 2.0, **settings, reduction="none")
    found = {
        reduction: distillation_loss(
            student.reshape(shape), teacher.reshape(shape), 2.0, **settings, reduction=reduction
        )
        for reduction in ("mean", "sum")
    }
    torch.testing.assert_close(found["sum"], rows.sum())
    torch.testing.assert_close(found["mean"], rows.sum() / 3)


def test_an_objective_that_looks_up_targets_meets_no_padding(logits):
    student, teacher, _ = logits
    targets = torch.tensor([0, -100, 2, 3, -100, 0, 1])

    def target_gap(student_logits, teacher_logits, temperature, targets):
        return (teacher_logits - student_logits).gather(1, targets[:, None]).squeeze(1)

    kept = targets >= 0
    expected = target_gap(student[kept], teacher[kept], 1.0, targets[kept]).mean()
    torch.testing.assert_close(
        distillation_loss(student, teacher, 1.0, objective=target_gap, targets=targets), expected
    )


def test_an_objective_must_return_a_loss_per_row(logits):
    student, teacher, _ = logits

    def scalar(student_logits, teacher_logits, temperature, targets):
        return (student_logits - teacher_logits).square().mean()

    with pytest.raises(ValueError, match=r"one loss per row is \(7,\)"):
        distillation_loss(student, teacher, 1.0, objective=scalar)


def test_the_wider_type_of_both_counts(logits):
    student, teacher, _ = logits
    found = distillation_loss(student.detach().bfloat16(), teacher, 2.0)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, distillation_loss(student.detach().bfloat16().double(), teacher, 2.0))


def test_temperature_as_a_scalar_tensor(logits):
    student, teacher, _ = logits
    torch.testing.assert_close(
        distillation_loss(student, teacher, torch.tensor(3.0)), distillation_loss(student, teacher, 3.0)
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"temperature": torch.tensor([1.0, math.inf])}, "finite"),
        ({"temperature": math.nan}, "finite"),
        ({"targets": torch.zeros(2)}, "integers"),
        ({"student_logits": torch.zeros(2, 5, dtype=torch.int64)}, "floating-point"),
    ],
)
def test_wrong_types(change, reason):
    arguments = {"student_logits": torch.zeros(2, 5), "teacher_logits": torch.zeros(2, 5), "temperature": 1.0} | change
    with pytest.raises(ValueError, match=reason):
        distillation_loss(**arguments)


@pytest.mark.parametrize(
    "settings",
    [{"temperature": 0.0}, {"objective": "hintom"}, {"hard_weight": 2.0}, {"topk": 0}, {"reduction": "batchmean"}],
)
def test_the_module_finds_mistakes_at_construction(settings):
    with pytest.raises(ValueError, match=str(next(iter(settings)))):
        DistillationLoss(**{"temperature": 1.0} | settings)
