from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from tosmooth.config.schema import OptimizerConfig, ScheduleConfig
from tosmooth.training.optimization import build_optimizer, learning_rate


def rates(schedule: ScheduleConfig, epochs: int, steps_per_epoch: int = 10) -> list[float]:
    return [
        learning_rate(step, peak=0.1, steps_per_epoch=steps_per_epoch, epochs=epochs, schedule=schedule)
        for step in range(epochs * steps_per_epoch)
    ]


def test_step_schedule_of_the_paper_divides_by_ten_every_thirty_epochs():
    found = rates(ScheduleConfig(name="step", step_epochs=30, gamma=0.1), epochs=90)
    assert found[0] == pytest.approx(0.1)
    assert found[299] == pytest.approx(0.1)
    assert found[300] == pytest.approx(0.01)
    assert found[899] == pytest.approx(0.001)


def test_warmup_rises_linearly_to_the_peak():
    found = rates(ScheduleConfig(name="step", warmup_epochs=5, step_epochs=80), epochs=200)
    assert found[0] == pytest.approx(0.1 / 50)
    assert found[24] == pytest.approx(0.05)
    assert found[49] == found[50] == pytest.approx(0.1)
    assert found[800] == pytest.approx(0.01)


def test_cosine_starts_at_the_peak_is_half_in_the_middle_and_falls_to_zero():
    found = rates(ScheduleConfig(name="cosine"), epochs=10)
    assert found[0] == pytest.approx(0.1)
    assert found[50] == pytest.approx(0.05)
    assert 0 < found[-1] < 1e-4
    assert all(a > b for a, b in itertools.pairwise(found))


# Four steps up to the peak of 0.1, then 0.1 · √(4 / step): by hand, steps counted from 1.
INVERSE_SQRT = [
    0.025, 0.05, 0.075, 0.1, 0.0894427, 0.0816497, 0.0755929, 0.0707107, 0.0666667, 0.0632456,
    0.0603023, 0.0577350, 0.0554700, 0.0534522, 0.0516398, 0.05, 0.0485071, 0.0471405, 0.0458831, 0.0447214,
]  # fmt: skip


@pytest.mark.parametrize(
    "warmup", [{"warmup_steps": 4}, {"warmup_epochs": 0.4}, {"warmup_steps": 4, "warmup_epochs": 0.1}]
)
def test_inverse_square_root_falls_from_the_end_of_the_warmup(warmup: dict[str, float]):
    found = rates(ScheduleConfig(name="inverse_sqrt", **warmup), epochs=2)
    assert found == pytest.approx(INVERSE_SQRT, rel=1e-5)


def test_inverse_square_root_without_a_warmup_begins_at_the_peak():
    found = rates(ScheduleConfig(name="inverse_sqrt"), epochs=1)
    assert found[:4] == pytest.approx([0.1, 0.0707107, 0.0577350, 0.05], rel=1e-5)


def test_adam_under_a_constant_gradient_moves_by_the_learning_rate_of_each_step():
    """Its two averages are corrected for their beginning, so their quotient is 1 from the first step on."""
    module = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(module.weight)
    optimizer = build_optimizer(
        module, OptimizerConfig(name="adam", learning_rate=0.1, betas=(0.9, 0.98), weight_decay=0)
    )
    moved = 0.0
    for step, rate in enumerate(INVERSE_SQRT):
        schedule = ScheduleConfig(name="inverse_sqrt", warmup_steps=4)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, peak=0.1, steps_per_epoch=10, epochs=2, schedule=schedule)
        module.weight.grad = torch.full_like(module.weight, 3.0)
        optimizer.step()
        moved += rate
        assert module.weight.item() == pytest.approx(-moved, rel=1e-5), step


def test_betas_reach_adam():
    """A gradient of 1 and then of 0, by hand: the second step moves by (β₁ / (1 + β₁)) · √((1 + β₂) / β₂)."""
    module = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(module.weight)
    optimizer = build_optimizer(
        module, OptimizerConfig(name="adam", learning_rate=0.1, betas=(0.5, 0.25), weight_decay=0)
    )
    for gradient, expected in ((1.0, -0.1), (0.0, -0.1 - 0.1 * (0.5 / 1.5) * (1.25 / 0.25) ** 0.5)):
        module.weight.grad = torch.full_like(module.weight, gradient)
        optimizer.step()
        assert module.weight.item() == pytest.approx(expected, rel=1e-5)


def test_weight_decay_is_a_part_of_adams_gradient_and_apart_from_adamws():
    """Without a gradient from the loss: Adam moves by the learning rate, AdamW by lr · decay · weight."""
    for name, expected in (("adam", 2.0 - 0.1), ("adamw", 2.0 * (1 - 0.1 * 0.01))):
        module = nn.Linear(1, 1, bias=False)
        nn.init.constant_(module.weight, 2.0)
        optimizer = build_optimizer(module, OptimizerConfig(name=name, learning_rate=0.1, weight_decay=0.01))
        module.weight.grad = torch.zeros_like(module.weight)
        optimizer.step()
        assert module.weight.item() == pytest.approx(expected, rel=1e-5)
