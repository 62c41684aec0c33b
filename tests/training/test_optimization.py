from __future__ import annotations

import copy
import itertools
from typing import get_args

import pytest
import torch
from timm import create_model
from timm.optim import create_optimizer_v2, param_groups_layer_decay, param_groups_weight_decay
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from tosmooth.config.schema import StudentConfig
from tosmooth.config.training import OptimizerConfig, ScheduleConfig
from tosmooth.errors import ModelError
from tosmooth.training import optimization
from tosmooth.training.optimization import (
    MOMENTS,
    build_optimizer,
    capturable,
    copies_of_weights,
    learning_rate,
    rates_as_tensors,
    remembered,
    remind,
    set_learning_rate,
    step_unless,
)

NAMES = get_args(OptimizerConfig.model_fields["name"].annotation)


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


@pytest.mark.parametrize(("epochs", "steps_per_epoch"), [(1, 10), (3, 7), (80, 19), (1, 2)])
def test_one_cycle_is_that_of_torch(epochs: int, steps_per_epoch: int):
    optimizer = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], lr=1.0)
    total = epochs * steps_per_epoch
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=total, cycle_momentum=False)
    expected = []
    for _ in range(total):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step() if len(expected) < total else None
    if total == 2:  # torch's peak lies before the first step, then; ours is the first
        expected[0] = 0.1
    found = rates(ScheduleConfig(name="one_cycle"), epochs, steps_per_epoch)
    assert found == pytest.approx(expected, rel=1e-9)


def test_the_way_up_of_one_cycle_is_as_long_as_the_warmup_where_one_is_given():
    found = rates(ScheduleConfig(name="one_cycle", warmup_epochs=2), epochs=10)
    assert max(found) == found[19] == pytest.approx(0.1)
    assert found[0] == pytest.approx(0.1 / 25)
    assert found[-1] == pytest.approx(0.1 / 25e4)


BUILT: list[nn.Module] = []


def network() -> nn.Module:
    """The same one again and again; built when it is first asked for."""
    if not BUILT:
        BUILT.append(create_model("test_vit", num_classes=5, img_size=32))
    return copy.deepcopy(BUILT[0])


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int, first: int = 0) -> None:
    for step in range(first, first + steps):
        images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(step))
        set_learning_rate(optimizer, 1e-3 / (1 + step))
        model(images).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("options", [{}, {"decay_norms_and_biases": False, "layer_decay": 0.7}])
@pytest.mark.parametrize("name", NAMES)
def test_every_optimiser_trains_as_timm_builds_it_and_goes_on_to_the_same_bits(name: str, options: dict[str, float]):
    """Bit by bit: against timm's own, and against itself, stopped after two of four steps."""
    config = OptimizerConfig(name=name, learning_rate=1e-3, weight_decay=0.05, momentum=0.8, nesterov=True, **options)
    whole = network()
    optimizer = build_optimizer(whole, config)
    train(whole, optimizer, 4)
    assert len({id(p) for group in optimizer.param_groups for p in group["params"]}) == len(list(whole.parameters()))
    kept = [value.numel() for key, value in remembered(optimizer, list(whole.parameters())) if not key.endswith("step")]
    assert sum(kept) == MOMENTS[name] * sum(p.numel() for p in whole.parameters())

    theirs = network()
    further = {"momentum": 0.8, "nesterov": True} if name in {"sgd", "lars"} else {"betas": config.betas}
    if name in {"sgd", "adam", "adamw"}:
        further["fused"] = True
    own = create_optimizer_v2(
        theirs if options else theirs.parameters(), name, lr=1e-3, weight_decay=0.05,
        layer_decay=options.get("layer_decay"), **further,
    )  # fmt: skip
    train(theirs, own, 4)

    half = network()
    stopped = build_optimizer(half, config)
    train(half, stopped, 2)
    resumed = copy.deepcopy(half)
    after = build_optimizer(resumed, config)
    for key, value in remembered(stopped, list(half.parameters())):
        remind(after, list(resumed.parameters()), key, value)
    train(resumed, after, 2, first=2)
    for key, value in weights(whole).items():
        assert torch.equal(value, theirs.state_dict()[key]), f"timm: {key}"
        assert torch.equal(value, resumed.state_dict()[key]), f"resumed: {key}"


def test_one_step_of_lion_by_hand():
    """Its paper's line: w ← w − lr · (sign((1 − β₁) g) + decay · w), at the start."""
    module = nn.Linear(1, 1, bias=False)
    nn.init.constant_(module.weight, 2.0)
    config = OptimizerConfig(name="lion", learning_rate=0.1, weight_decay=0.01)
    assert config.betas == (0.9, 0.99)
    assert OptimizerConfig(name="lion", betas=(0.5, 0.6)).betas == (0.5, 0.6)
    optimizer = build_optimizer(module, config)
    module.weight.grad = torch.full_like(module.weight, -7.0)
    optimizer.step()
    assert module.weight.item() == pytest.approx(2.0 * (1 - 0.1 * 0.01) + 0.1, rel=1e-5)


def decay_of(optimizer: torch.optim.Optimizer, model: nn.Module) -> dict[str, tuple[float, float]]:
    """Weight decay and factor of the learning rate, by the parameter's name."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        names[id(parameter)]: (group["weight_decay"], group.get("lr_scale", 1.0))
        for group in optimizer.param_groups
        for parameter in group["params"]
    }


def test_norms_and_biases_have_no_weight_decay_where_that_is_asked_for():
    model = network()
    found = decay_of(build_optimizer(model, OptimizerConfig(decay_norms_and_biases=False, weight_decay=0.1)), model)
    spared = {name for name, (decay, _) in found.items() if decay == 0}
    own = model.no_weight_decay()  # also names of parts that this one lacks
    assert spared == {name for name, p in model.named_parameters() if p.ndim == 1 or name in own}
    assert {decay for name, (decay, _) in found.items() if name not in spared} == {0.1}
    groups = param_groups_weight_decay(model, 0.1, no_weight_decay_list=model.no_weight_decay())
    assert found == decay_of(torch.optim.SGD(groups, lr=1.0), model)
    everywhere = decay_of(build_optimizer(model, OptimizerConfig(weight_decay=0.1)), model)
    assert set(everywhere.values()) == {(0.1, 1.0)}


def test_layers_have_the_learning_rates_of_timms_groups_at_every_step():
    """The head the whole rate, each layer before it the factor of the one behind it; the schedule times that."""
    model = network()
    config = OptimizerConfig(name="adamw", learning_rate=1.0, layer_decay=0.5, decay_norms_and_biases=False)
    optimizer = build_optimizer(model, config)
    groups = param_groups_layer_decay(model, 1e-4, layer_decay=0.5, no_weight_decay_list=model.no_weight_decay())
    assert decay_of(optimizer, model) == decay_of(torch.optim.AdamW(groups, lr=1.0), model)
    scales = {name: scale for name, (_, scale) in decay_of(optimizer, model).items()}
    assert scales["head.weight"] == 1.0
    assert scales["blocks.1.norm1.weight"] == 2 * scales["blocks.0.norm1.weight"] == 4 * scales["cls_token"]
    for step in range(4):
        rate = learning_rate(step, peak=0.3, steps_per_epoch=4, epochs=1, schedule=ScheduleConfig(warmup_steps=2))
        set_learning_rate(optimizer, rate)
        for group in optimizer.param_groups:
            assert group["lr"] == rate * group["lr_scale"]


def test_learning_rates_on_a_card_are_those_that_a_recorded_step_reads():
    """Its kernels read float32 from a tensor and float64 from the host; the CPU's take the number out of either."""
    with FakeTensorMode():
        on_card = nn.Parameter(torch.zeros(1, device="cuda"))
        optimizers = [torch.optim.SGD([on_card], lr=1.0) for _ in range(2)]
        rates_as_tensors(optimizers[1])
        assert optimizers[1].param_groups[0]["lr"].dtype == torch.float32
        assert optimizers[1].param_groups[0]["lr"].device == on_card.device
        set_learning_rate(optimizers[0], 0.1)
    assert optimizers[0].param_groups[0]["lr"] == torch.tensor(0.1, dtype=torch.float32).item() != 0.1
    on_host = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    for as_tensor in (False, True):
        if as_tensor:
            rates_as_tensors(on_host)
        set_learning_rate(on_host, 0.1)
        assert isinstance(on_host.param_groups[0]["lr"], Tensor) == as_tensor
        assert float(on_host.param_groups[0]["lr"]) == 0.1


def test_optimisers_are_told_of_a_recording_and_no_longer():
    optimizer = build_optimizer(network(), OptimizerConfig(name="adamw", decay_norms_and_biases=False))
    with capturable(optimizer):
        assert [group["capturable"] for group in optimizer.param_groups] == [True, True]
    assert [group["capturable"] for group in optimizer.param_groups] == [False, False]


def test_learning_rates_by_layer_leave_weight_decay_on_everything_where_that_is_asked_for():
    model = network()
    found = decay_of(build_optimizer(model, OptimizerConfig(layer_decay=0.5, weight_decay=0.1)), model)
    assert {decay for decay, _ in found.values()} == {0.1}


def test_a_model_that_tells_no_layers_has_no_learning_rates_by_layer():
    with pytest.raises(ModelError, match="its layers are not known to timm"):
        build_optimizer(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), OptimizerConfig(layer_decay=0.5))


@pytest.mark.parametrize(("name", "copies"), [("sgd", 2), ("lion", 2), ("adamw", 3), ("lamb", 3)])
def test_copies_of_weights_that_a_model_in_training_holds(name: str, copies: int):
    assert copies_of_weights(StudentConfig(model="resnet8", epochs=1, optimizer={"name": name})) == copies


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "lion"])
def test_an_update_is_held_back_to_the_bit_also_where_the_optimiser_knows_no_flag(name: str, monkeypatch) -> None:
    """Apple's fused optimisers refuse or ignore the flag: there, the weights are put back. Three steps, one bad."""
    config = OptimizerConfig(name=name, learning_rate=0.1, weight_decay=0.1)

    def trained() -> list[list[Tensor]]:
        torch.manual_seed(0)
        model, stopped, found = nn.Linear(5, 3), torch.zeros(()), []
        optimizer = build_optimizer(model, config)
        for bad in (False, False, True, True):
            model(torch.randn(8, 5)).square().sum().backward()
            if bad:
                stopped = torch.ones(())
                model.weight.grad.fill_(float("nan"))
            step_unless(optimizer, list(model.parameters()), stopped)
            optimizer.zero_grad()
            found.append([parameter.detach().clone() for parameter in model.parameters()])
        return found

    flagged = trained()
    monkeypatch.setattr(optimization, "NO_FOUND_INF", ("cpu",))
    put_back = trained()
    for step, (one, other) in enumerate(zip(flagged, put_back, strict=True)):
        assert all(map(torch.equal, one, other)), step
    assert not torch.equal(flagged[0][0], flagged[1][0])
    assert torch.equal(flagged[1][0], flagged[3][0])
