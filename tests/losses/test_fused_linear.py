"""The fused loss is the plain loss of the full logits: in value, and in the gradient of every input."""

from __future__ import annotations

import itertools
import os
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

import tosmooth
from tosmooth.losses.distillation import distillation_loss
from tosmooth.losses.fused_linear import fused_linear_distillation

N, K, D, E = 11, 13, 5, 7
SETTINGS: list[dict[str, Any]] = [
    {},
    {"objective": "teacher_only"},
    {"hard_weight": 0.3},
    {"hard_weight": 0.3, "label_smoothing": 0.1},
    {"hard_weight": 1.0, "objective": "teacher_only"},
    {"hard_weight": 0.6, "objective": "teacher_only", "label_smoothing": 0.2},
    {"topk": 3},
    {"topk": 4, "objective": "teacher_only", "hard_weight": 0.5},
    {"topk": K},
    {"objective": "dkd"},
    {"objective": "dkd", "objective_kwargs": {"alpha": 0.5, "beta": 2.0}, "hard_weight": 0.3, "label_smoothing": 0.1},
    {"objective": "logit_standard"},
    {"objective": "logit_standard", "hard_weight": 0.5},
]


def tensors(*, dtype: torch.dtype = torch.float64, scale: float = 1.0, bias: bool = True) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    found = {
        "student_hidden": scale * draw(N, D), "student_weight": draw(K, D),
        "teacher_hidden": scale * draw(N, E), "teacher_weight": draw(K, E),
    }  # fmt: skip
    if bias:
        found |= {"student_bias": draw(K), "teacher_bias": draw(K)}
    for name in ("student_hidden", "student_weight", "student_bias"):
        if name in found:
            found[name].requires_grad_()
    return found


def some_targets() -> Tensor:
    targets = torch.arange(N) % K
    targets[[2, 7]] = -100
    return targets


def plain(given: dict[str, Tensor], temperature: float | Tensor, **settings: Any) -> Tensor:
    student = F.linear(given["student_hidden"], given["student_weight"], given.get("student_bias"))
    teacher = F.linear(given["teacher_hidden"], given["teacher_weight"], given.get("teacher_bias"))
    return distillation_loss(student, teacher, temperature, **settings)


def fused(given: dict[str, Tensor], temperature: float | Tensor, **settings: Any) -> Tensor:
    return fused_linear_distillation(**given, temperature=temperature, **settings)


def assert_equal(given: dict[str, Tensor], temperature: float | Tensor, rtol: float = 1e-9, **settings: Any) -> None:
    """Value, and the gradients of the student's three inputs under an upstream gradient other than 1."""
    chunk = settings.pop("chunk_size", 4)  # which does not divide N
    one, other = plain(given, temperature, **settings), fused(given, temperature, chunk_size=chunk, **settings)
    torch.testing.assert_close(one, other, rtol=rtol, atol=rtol)
    inputs = [value for value in given.values() if value.requires_grad]
    upstream = torch.linspace(0.5, 2, one.numel(), dtype=one.dtype).reshape(one.shape)
    for expected, found in zip(
        torch.autograd.grad(one, inputs, upstream), torch.autograd.grad(other, inputs, upstream), strict=True
    ):
        assert found.dtype == expected.dtype
        torch.testing.assert_close(expected, found, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("temperature", [0.1, 1.0, 3.0, 64.0])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_value_and_gradients(settings: dict[str, Any], temperature: float, reduction: str) -> None:
    assert_equal(tensors(), temperature, targets=some_targets(), reduction=reduction, **settings)


@pytest.mark.parametrize(
    "settings", [*SETTINGS[:3], *(pytest.param(own, marks=pytest.mark.slow) for own in SETTINGS[3:])], ids=str
)
def test_gradcheck(settings: dict[str, Any]) -> None:
    """Against finite differences, in float64."""
    given = tensors()
    names = [name for name, value in given.items() if value.requires_grad]

    def loss(*values: Tensor) -> Tensor:
        return fused(
            given | dict(zip(names, values, strict=True)), 2.5, targets=some_targets(), chunk_size=4, **settings
        )

    assert torch.autograd.gradcheck(loss, [given[name] for name in names])


@pytest.mark.parametrize("chunk_size", [1, 4, N, 1000, None])
@pytest.mark.parametrize("bias", [True, False])
def test_any_chunk_with_and_without_bias_and_targets(chunk_size: int | None, bias: bool) -> None:
    assert_equal(tensors(bias=bias), 2.0, chunk_size=chunk_size)


@pytest.mark.parametrize("settings", SETTINGS[:6], ids=str)
@pytest.mark.parametrize("temperature", [0.1, 64.0])
def test_extreme_logits(settings: dict[str, Any], temperature: float) -> None:
    """Logits of ±10,000, in float32: finite, and equal."""
    given = tensors(dtype=torch.float32, scale=3000)
    assert fused(given, temperature, targets=some_targets(), **settings).isfinite()
    assert_equal(given, temperature, 1e-4, targets=some_targets(), **settings)


def test_a_temperature_per_row_and_as_a_tensor() -> None:
    assert_equal(tensors(), torch.linspace(0.5, 8, N, dtype=torch.float64), hard_weight=0.4, targets=some_targets())
    assert_equal(tensors(), torch.tensor(3.0, dtype=torch.float64))
    for objective in ("dkd", "logit_standard"):
        per_row = torch.linspace(0.5, 8, N, dtype=torch.float64)
        assert_equal(tensors(), per_row, objective=objective, targets=some_targets())


def test_sequences() -> None:
    """(B, L, D): the loss per token comes back as (B, L)."""
    given = tensors()
    long = given | {name: given[name][:10].reshape(2, 5, -1) for name in ("student_hidden", "teacher_hidden")}
    targets = some_targets()[:10].reshape(2, 5)
    assert fused(long, 2.0, targets=targets, reduction="none").shape == (2, 5)
    assert_equal(long, 2.0, targets=targets, reduction="none")
    assert_equal(long, 2.0, targets=targets)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_only_padding(reduction: str) -> None:
    """0, with a graph and gradients of 0."""
    given = tensors()
    loss = fused(given, 2.0, targets=torch.full((N,), -100), hard_weight=0.5, reduction=reduction)
    assert not loss.any()
    loss.sum().backward()
    for name in ("student_hidden", "student_weight", "student_bias"):
        gradient = given[name].grad
        assert gradient is not None
        assert not gradient.any()


@pytest.mark.parametrize("who", ["student_hidden", "teacher_hidden"])
@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_padding_that_holds_nan_reaches_no_gradient(who: str, reduction: str) -> None:
    given = tensors()
    targets = some_targets()

    def gradient() -> Tensor:
        loss = fused(given, 2.0, targets=targets, reduction=reduction, hard_weight=0.3)
        return torch.autograd.grad(loss.sum(), given["student_weight"])[0]

    clean = gradient()
    given[who] = given[who].detach().clone()
    given[who][targets == -100] = float("nan")
    assert torch.equal(gradient(), clean)


def test_no_rows_at_all() -> None:
    given = tensors()
    for name in ("student_hidden", "teacher_hidden"):
        given[name] = given[name][:0]
    loss = fused(given, 2.0)
    assert loss == 0
    assert not torch.autograd.grad(loss, given["student_weight"])[0].any()


def test_a_masked_vocabulary() -> None:
    """Teacher logits of −∞ add nothing, as in the plain loss."""
    given = tensors()
    given["teacher_bias"] = given["teacher_bias"].clone()
    given["teacher_bias"][3] = float("-inf")
    assert_equal(given, 2.0)
    with pytest.raises(ValueError, match="needs finite teacher logits"):
        fused(given, 2.0, objective="logit_standard")


def test_only_what_needs_a_gradient_gets_one() -> None:
    given = {name: value.detach() for name, value in tensors().items()}
    assert not fused(given, 2.0).requires_grad
    given["student_hidden"].requires_grad_()
    fused(given, 2.0).backward()
    assert given["student_weight"].grad is None
    torch.testing.assert_close(
        given["student_hidden"].grad,
        torch.autograd.grad(plain(given, 2.0), given["student_hidden"])[0],
    )


def test_tied_weights() -> None:
    """An embedding that is the last layer too gets the sum of both gradients."""
    given = tensors(bias=False)
    tokens = torch.arange(N) % K

    def gradient(loss_of: Any) -> Tensor:
        hidden = F.embedding(tokens, given["student_weight"]).tanh()
        return torch.autograd.grad(loss_of(given | {"student_hidden": hidden}, 2.0), given["student_weight"])[0]

    torch.testing.assert_close(gradient(fused), gradient(plain))


@pytest.mark.parametrize("how", ["bf16 in", "autocast"])
def test_half_precision(how: str) -> None:
    """bf16 in, sums in float32: as close to the float64 truth as the plain loss in bf16 is."""
    exact = tensors()
    truth = torch.autograd.grad(plain(exact, 2.0), exact["student_weight"])[0]
    given = tensors(dtype=torch.bfloat16 if how == "bf16 in" else torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=how == "autocast"):
        losses = plain(given, 2.0), fused(given, 2.0, chunk_size=2)
    assert losses[1].dtype == torch.float32
    gradients = [torch.autograd.grad(loss, given["student_weight"])[0] for loss in losses]
    assert gradients[0].dtype == gradients[1].dtype == given["student_weight"].dtype
    errors = [(gradient.double() - truth).norm() / truth.norm() for gradient in gradients]
    assert errors[1] < 1.5 * errors[0] + 1e-3
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("objective", ["hinton", "logit_standard"])
def test_float16_with_a_loss_scale_is_as_exact_as_the_full_logits(objective: str) -> None:
    """Over 1,024 rows and 1,000 classes the entries of a mean's gradient are below what float16 has."""
    generator = torch.Generator().manual_seed(0)
    hidden, teacher_hidden = torch.randn(2, 1024, 16, generator=generator, dtype=torch.float64)
    weights = 0.15 * torch.randn(2, 1000, 16, generator=generator, dtype=torch.float64)

    def gradients(how: str) -> list[Tensor]:
        kind = torch.float64 if how == "exact" else torch.float32
        given = [tensor.to(kind).requires_grad_() for tensor in (hidden, *weights, teacher_hidden)]
        student, weight, teacher_weight, teacher = given
        scaler = torch.amp.GradScaler("cpu", enabled=how != "exact")
        with torch.autocast("cpu", torch.float16, enabled=how != "exact"):
            if how == "fused":
                loss = fused_linear_distillation(student, weight, teacher, teacher_weight, 2.0, objective=objective)
            else:
                logits = F.linear(student, weight).to(kind), F.linear(teacher, teacher_weight).to(kind)
                loss = distillation_loss(*logits, 2.0, objective=objective)
        found = torch.autograd.grad(scaler.scale(loss), (student, weight))
        return [own.double() / scaler.get_scale() for own in found]

    exact, plain, fused = (gradients(how) for how in ("exact", "plain", "fused"))
    for true, own, theirs in zip(exact, fused, plain, strict=True):
        error, usual = ((found - true).norm() / true.norm() for found in (own, theirs))
        assert error < 1.5 * usual < 1e-3


def test_float16_does_not_overflow_where_all_rows_are_wrong_in_the_same_way() -> None:
    """As in a student that has collapsed: no loss scale could lower a sum that is made in the forward pass."""
    hidden, weight = torch.full((512, 4), 100.0), torch.zeros(3, 4)
    weight[0] = 1
    given = hidden.half(), weight.half().requires_grad_()
    loss = fused_linear_distillation(*given, hidden.half(), -weight.half(), 64.0)
    true = weight.double().requires_grad_()
    plain = distillation_loss(hidden.double() @ true.T, hidden.double() @ -weight.double().T, 64.0)
    (own,), (exact,) = torch.autograd.grad(loss, given[1]), torch.autograd.grad(plain, true)
    torch.testing.assert_close(own.double(), exact, rtol=2e-3, atol=1e-6)


def test_many_chunks_of_half_precision_do_not_lose_what_they_add() -> None:
    """4,096 rows in 512 chunks: an accumulator in bf16 would stall after a few hundred additions."""
    hidden = torch.ones(4096, 4, dtype=torch.bfloat16)
    weight = torch.zeros(6, 4, dtype=torch.bfloat16, requires_grad=True)
    teacher = torch.zeros(6, 4, dtype=torch.bfloat16)
    teacher[0] = 1
    loss = fused_linear_distillation(hidden, weight, hidden, teacher, 1.0, reduction="sum", chunk_size=8)
    (gradient,) = torch.autograd.grad(loss, weight)
    expected = 4096 * (1 / 6 - torch.softmax(torch.tensor([4.0, 0, 0, 0, 0, 0]), 0))
    torch.testing.assert_close(gradient[:, 0].float(), expected, rtol=0.02, atol=1.0)


def test_backward_twice() -> None:
    given = tensors()
    loss = fused(given, 2.0)
    first = torch.autograd.grad(loss, given["student_weight"], retain_graph=True)[0]
    assert torch.equal(torch.autograd.grad(loss, given["student_weight"])[0], first)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"student_weight": torch.zeros(K, D + 1)}, "student: hidden"),
        ({"teacher_weight": torch.zeros(K + 1, E)}, "13 classes; teacher: rows .*, 14 classes"),
        ({"teacher_hidden": torch.zeros(N + 1, E)}, "must agree"),
        ({"student_bias": torch.zeros(K + 1)}, "student: bias has shape"),
        (
            {"objective": "crd"},
            "no objective 'crd' in the fused loss.*Allowed: dkd, hinton, logit_standard, teacher_only",
        ),
        ({"objective": "dkd"}, "'dkd' needs targets"),
        ({"targets": torch.full((N,), -1)}, "target -1 is outside"),
        ({"objective": "logit_standard", "topk": 3}, "needs all of the teacher's logits"),
        ({"objective_kwargs": {"alpha": 1.0}}, "'hinton' takes no options"),
        (
            {
                "objective": "dkd",
                "targets": torch.zeros(N, dtype=torch.long),
                "objective_kwargs": {"beta": torch.ones(N)},
            },
            "must hold numbers",
        ),
        ({"hard_weight": 0.5}, "needs targets"),
        ({"hard_weight": 2.0}, r"must be in \[0, 1\]"),
        ({"topk": K + 1}, "topk must be in"),
        ({"chunk_size": 0}, "chunk_size must be at least 1"),
        ({"temperature": 0.0}, "above 0"),
        ({"targets": torch.zeros(N)}, "class indices"),
        ({"targets": torch.zeros(N + 1, dtype=torch.long)}, "class indices of shape"),
    ],
)
def test_mistakes_are_named(change: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {k: v.detach().float() for k, v in tensors(bias=False).items()} | {"temperature": 2.0}
    with pytest.raises(ValueError, match=message):
        fused_linear_distillation(**(given | change))


class Small(nn.Module):
    """A student whose forward ends in the fused loss, as under DDP it must."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body, self.head = nn.Linear(D, D), nn.Linear(D, K)

    def forward(self, x: Tensor, teacher: Tensor, teacher_weight: Tensor, fuse: bool) -> Tensor:
        hidden = self.body(x).tanh()
        if fuse:
            return fused_linear_distillation(
                hidden, self.head.weight, teacher, teacher_weight, 2.0, student_bias=self.head.bias, chunk_size=3
            )
        return distillation_loss(self.head(hidden), teacher @ teacher_weight.T, 2.0)


def _one_rank(rank: int, meeting_point: str, out: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{meeting_point}", rank=rank, world_size=2)
    model = DistributedDataParallel(Small())
    given = {name: value.detach().float() for name, value in tensors().items()}
    rows = slice(rank, 10, 2)
    model(given["student_hidden"][rows], given["teacher_hidden"][rows], given["teacher_weight"], True).backward()
    if rank == 0:
        torch.save([parameter.grad for parameter in model.parameters()], out)
    dist.barrier()
    # Without the interpreter's own ending: gloo's threads, when they outlive it, now and then abort a finished process.
    os._exit(0)


@pytest.mark.slow
def test_under_distributed_data_parallel(tmp_path: Any) -> None:
    """Two processes, five rows each: the averaged gradients are those of the ten rows in one."""
    out = str(tmp_path / "gradients.pt")
    torch.multiprocessing.spawn(_one_rank, (str(tmp_path / "meeting-point"), out), nprocs=2)
    alone, given = Small(), {name: value.detach().float() for name, value in tensors().items()}
    alone(given["student_hidden"][:10], given["teacher_hidden"][:10], given["teacher_weight"], False).backward()
    for found, parameter in itertools.zip_longest(torch.load(out, weights_only=True), alone.parameters()):
        torch.testing.assert_close(found, parameter.grad)


def test_it_is_public() -> None:
    assert tosmooth.fused_linear_distillation is fused_linear_distillation
