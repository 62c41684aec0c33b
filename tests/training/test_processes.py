"""What one process can show of a run of several; whole runs are in `faults/test_processes.py`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from tosmooth import cli
from tosmooth.config.schema import ComputeConfig
from tosmooth.errors import ModelError
from tosmooth.models.build import build_image_model
from tosmooth.models.study_model import StudyModel
from tosmooth.recipes.reading import load_config
from tosmooth.training.compute import Compute
from tosmooth.training.forward import SharedInputs
from tosmooth.training.loss_functions import label_smoothing_loss
from tosmooth.training.processes import Processes, leave_group
from tosmooth.training.randomness import RandomStream, seed_of_rank
from tosmooth.training.trainee import Share, Trainee

CPU = Compute.from_config(ComputeConfig(device="cpu"))
IMAGES = torch.randint(256, (8, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(8)


@pytest.fixture
def group() -> Iterator[None]:
    """A real process group of one."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    leave_group()
    assert not dist.is_initialized()


def trainee(compute: Compute = CPU, model: StudyModel | None = None) -> Trainee:
    model = model or build_image_model("resnet8", 10, channels=1, image_size=28, kwargs={"stem_stride": 2}, seed=0)
    config = load_config("fashion-mnist", []).student
    return Trainee("s", model.train(), label_smoothing_loss(0.1), config, compute, 0, 9, Path(), None)


def take_steps(one: Trainee, share: Share | None, number: int = 3) -> list[Tensor]:
    for _ in range(number):
        one.step(SharedInputs(IMAGES, channels_last=True), LABELS, {}, share)
    return [value.clone() for value in one.model.state_dict().values()]


def whole() -> Share:
    return Share(8, torch.full((), 8.0), torch.full((), 1.0))


def test_a_step_in_a_group_of_one_is_a_step_alone(group: None) -> None:
    alone, shared = trainee(), trainee()
    shared.forward = CPU.in_step(shared.model)
    for one, other in zip(take_steps(alone, None), take_steps(shared, whole()), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("fails", [False, True])
def test_the_command_leaves_the_group_at_its_end(monkeypatch: pytest.MonkeyPatch, group: None, fails: bool) -> None:
    def work() -> None:
        if fails:  # then others may be gone, and nobody waits for them
            raise ModelError("it failed")

    monkeypatch.setattr(cli, "_app", work)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == int(fails)
    assert dist.is_initialized() == fails


class Unused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.used, self.spare = nn.Linear(784, 10), nn.Linear(3, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.used(images.flatten(1))


def test_parameters_without_a_part_are_a_sentence(group: None) -> None:
    model = build_image_model("resnet8", 10, channels=1, image_size=28)
    model.backbone = Unused()
    one = trainee(model=model)
    one.forward = CPU.in_step(one.model)
    with pytest.raises(ModelError, match=r"^resnet8: 2 of its parameters .* \(such as backbone\.spare\.weight\)"):
        take_steps(one, whole())


def test_ranks_drop_other_units() -> None:
    masks = []
    for rank in range(3):
        with RandomStream(seed_of_rank(5, rank)):
            masks.append(nn.functional.dropout(torch.ones(64), training=True))
    assert len({tuple(mask.tolist()) for mask in masks}) == 3
    assert seed_of_rank(5, 0) == 5  # what one process alone draws
    ranks = [trainee(dataclasses.replace(CPU, processes=Processes(rank=rank))).random.state()[0] for rank in (0, 1)]
    assert not torch.equal(*ranks)


@pytest.mark.parametrize("shared", [False, True])
def test_a_placeholder_takes_part_in_shared_statistics_and_moves_no_others(shared: bool) -> None:
    one = trainee(dataclasses.replace(CPU, sync_batchnorm=shared))
    modes = []
    one.model.register_forward_pre_hook(lambda module, _: modes.append(module.training))
    one.forward = one.model  # type: ignore[assignment]
    before = [buffer.clone() for buffer in one.model.buffers()]
    one.step(SharedInputs(IMAGES[:1]), LABELS[:1], {}, Share(0, torch.full((), 8.0), torch.full((), 0.0)))
    assert modes == [shared]
    assert one.model.training
    unmoved = [torch.equal(old, new) for old, new in zip(before, one.model.buffers(), strict=True)]
    assert all(unmoved) != shared


def test_shared_statistics_keep_activations(group: None) -> None:
    model = build_image_model("timm:test_efficientnet", 10, channels=1, image_size=28, seed=0).eval()
    with torch.no_grad():
        before = model(IMAGES)
        compute = dataclasses.replace(CPU, sync_batchnorm=True, processes=Processes(world=2))
        with pytest.raises(ValueError, match="only work with GPU"):  # what PyTorch says of them on a CPU
            compute.trainable(model)
        assert any(isinstance(module, nn.SyncBatchNorm) for module in model.modules())
        assert torch.equal(model.eval()(IMAGES), before)
