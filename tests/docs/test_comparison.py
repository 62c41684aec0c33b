"""What docs/comparison.md says of other tools, held against the tools."""

from __future__ import annotations

import importlib.metadata

import pytest
import timm
import torch
from timm.task import FeatureDistillationTask, LogitDistillationTask, TokenDistillationTask
from torch import nn
from torchdistill.losses import mid_level
from torchdistill.losses.mid_level import KDLoss

import tosmooth
from tests.docs.conftest import ROOT
from tosmooth.losses.objectives import find_objective, objectives

PAGE = (ROOT / "docs" / "comparison.md").read_text(encoding="utf-8")
STUDENT, TEACHER = torch.randn(2, 32, 10, generator=torch.Generator().manual_seed(0))
TARGETS = torch.arange(32) % 10


@pytest.mark.parametrize("package", ["timm", "torchdistill"])
def test_the_versions_looked_at_are_those_that_are_installed(package: str) -> None:
    major, minor, *_ = importlib.metadata.version(package).split(".")
    assert f"| {major}.{minor}." in PAGE, f"look at {package} again, and date the page"


def distilled(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    return tosmooth.distillation_loss(logits, TEACHER, temperature)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_t_squared_in_timm_stands_beside_hard_labels_of_weight_1(temperature: float) -> None:
    student, teacher = (timm.create_model("resnet10t", num_classes=10).eval() for _ in range(2))
    images = torch.randn(4, 3, 64, 64)
    task = LogitDistillationTask(
        student, teacher, criterion=nn.CrossEntropyLoss(), temperature=temperature, verbose=False
    )
    found = task.eval()(images, TARGETS[:4])
    with torch.no_grad():
        ours = tosmooth.distillation_loss(student(images), teacher(images), temperature)
    assert torch.allclose(found["kd_loss"], ours, atol=1e-5)
    assert torch.allclose(found["loss"], found["kd_loss"] + found["task_loss"])


@pytest.mark.parametrize("temperature", [2.0, 4.0])
def test_torchdistill_leaves_t_squared_out_without_a_hard_label_weight(temperature: float) -> None:
    def loss(alpha: float) -> torch.Tensor:
        module = KDLoss("out", "output", "out", "output", temperature=temperature, alpha=alpha)
        found: torch.Tensor = module({"out": {"output": STUDENT}}, {"out": {"output": TEACHER}}, TARGETS)
        return found

    hard = nn.functional.cross_entropy(STUDENT, TARGETS)
    assert torch.allclose(loss(0.0) * temperature**2, distilled(STUDENT, temperature), atol=1e-5)
    assert torch.allclose(loss(0.5), 0.5 * distilled(STUDENT, temperature) + 0.5 * hard, atol=1e-5)


def test_methods_counted_on_the_page() -> None:
    losses = [name for name, kind in vars(mid_level).items() if isinstance(kind, type) and name.endswith("Loss")]
    assert len(losses) > 12
    assert {FeatureDistillationTask, TokenDistillationTask}  # timm's others
    own = [name for name in objectives() if find_objective(name).function.__module__.startswith("tosmooth.")]
    assert f"| Objectives on logits | {len(own)}, open |" in PAGE


def test_speed_is_what_the_benchmarks_say() -> None:
    benchmarks = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    live, alone = (
        next(line for line in benchmarks.splitlines() if f"tosmooth, {run} |" in line)
        for run in ("live", "live, one cell")
    )
    for line in (live, alone):
        factor = line.split("|")[-2].strip()
        assert f"{factor} × less" in PAGE
